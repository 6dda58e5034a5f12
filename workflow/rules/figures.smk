# All figures, each as PDF and PNG with its data beside it. Snakemake's report shows the PNG.


rule figures:
    input:
        runtime=rules.runtime_table.output.csv,
        runs=rules.runtime_table.output.runs,
        memory=rules.memory_table.output.csv,
        methods=rules.memory_table.output.methods,
        fits=rules.fits_table.output.csv,
        fit_models=rules.fits_table.output.models,
        fit_curves=rules.fits_table.output.curves,
        implementations=rules.implementations_table.output.csv,
        extrapolation=rules.extrapolation_table.output.csv,
        feasibility=rules.feasibility_table.output.csv,
    output:
        expand("results/figures/{figure}.{kind}", figure=FIGURES, kind=["pdf", "csv"]),
        *[
            report(f"results/figures/{name}.png", **mark)
            for name, mark in figure_marks(FIGURES, RUNS, COUNTS).items()
        ],
    log:
        "results/logs/figures.log",
    resources:
        quiet=1,
    params:
        style=json.dumps(STUDY.figures, sort_keys=True),
        hardware=HARDWARE_JSON,
        code=code_digest("analysis.commands.figures"),
    shell:
        "python -m analysis figures --runtime {input.runtime:q} --runs {input.runs:q}"
        " --memory {input.memory:q}"
        " --memory-methods {input.methods:q} --fits {input.fits:q}"
        " --fit-models {input.fit_models:q} --fit-curves {input.fit_curves:q}"
        " --implementations {input.implementations:q}"
        " --memory-extrapolation {input.extrapolation:q}"
        " --feasibility {input.feasibility:q} --style {params.style:q}"
        " --hardware {params.hardware:q} -o results/figures > {log:q} 2>&1"
