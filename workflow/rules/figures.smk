# All figures, each as PDF and PNG with its data beside it. Snakemake's report shows the PNG.


rule figures:
    input:
        [f"results/tables/{table.file}" for table in FIGURE_TABLES],
    output:
        expand("results/figures/{figure}.{kind}", figure=FIGURES, kind=["pdf", "csv"]),
        *[
            report(f"results/figures/{name}.png", **mark)
            for name, mark in FIGURES.items()
        ],
    log:
        "results/logs/figures.log",
    threads: 4
    resources:
        quiet=1,
    params:
        tables=[
            word
            for table in FIGURE_TABLES
            for word in (table_argument(table).flag, f"results/tables/{table.file}")
        ],
        style=json.dumps(STUDY.figures, sort_keys=True),
        hardware=HARDWARE_JSON,
        code=code_digest("analysis.commands.figures"),
        planned=figure_list(FIGURES),
    shell:
        "python -m analysis figures {params.tables:q} --style {params.style:q}"
        " --hardware {params.hardware:q} --planned {params.planned:q} --jobs {threads} -o results/figures > {log:q} 2>&1"
