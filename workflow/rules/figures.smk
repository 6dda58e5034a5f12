# All figures, each as PDF and PNG with its data beside it.

FIGURES = [
    *(f"runtime_share_{path.replace('/', '_')}" for path in RUN_GROUPS),
    *(f"memory_share_{path.removeprefix('counts/').replace('/', '_')}" for path in COUNTS),
    f"scaling_runtime_{STUDY.device}",
    "scaling_memory",
]


rule figures:
    input:
        runtime=rules.runtime_table.output.csv,
        memory=rules.memory_table.output.csv,
        fits=rules.fits_table.output.csv,
    output:
        expand("results/figures/{figure}.{kind}", figure=FIGURES, kind=["pdf", "png", "csv"]),
    params:
        style=json.dumps(STUDY.figures, sort_keys=True),
        code=code_digest("analysis.commands.figures"),
    log:
        "results/logs/figures.log",
    resources:
        quiet=1,
    shell:
        "{PYTHON} -m analysis figures --runtime {input.runtime:q} --memory {input.memory:q}"
        " --fits {input.fits:q} --style {params.style:q} -o results/figures > {log:q} 2>&1"
