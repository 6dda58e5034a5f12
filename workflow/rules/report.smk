# All of the study in one page that needs no network, and in three lines.


rule report:
    input:
        [f"results/tables/{table.file}" for table in TABLES if table.in_report],
    output:
        "results/report.html",
    log:
        "results/logs/report.log",
    resources:
        quiet=1,
    params:
        code=code_digest("analysis.commands.report"),
    shell:
        "python -m analysis report results/tables -o {output:q} > {log:q} 2>&1"


rule summary:
    input:
        runtime=rules.runtime_table.output.csv,
        runs=rules.runtime_table.output.runs,
        feasibility=rules.feasibility_table.output.csv,
    output:
        report("results/summary.txt", **summary_mark()),
    log:
        "results/logs/summary.log",
    resources:
        quiet=1,
    params:
        code=code_digest("analysis.commands.report"),
    shell:
        "python -m analysis conclude $(dirname {input.runtime:q}) -o {output:q} > {log:q} 2>&1"
