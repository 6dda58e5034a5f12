# From runs and counts to tables.


rule runtime_table:
    input:
        ranges=expand("results/{run}/ranges.parquet", run=RUNS),
        kernels=expand("results/{run}/kernels.parquet", run=RUNS),
        records=expand("results/{record}", record=RECORDS),
    output:
        csv=report("results/tables/runtime.csv", **table_mark("runtime")),
        parquet="results/tables/runtime.parquet",
        runs=report("results/tables/runs.csv", **table_mark("runs")),
        runs_parquet="results/tables/runs.parquet",
        kernels=report("results/tables/kernels.csv", **table_mark("kernels")),
        kernels_parquet="results/tables/kernels.parquet",
    log:
        "results/logs/runtime_table.log",
    resources:
        quiet=1,
    params:
        folders=expand("results/{run}", run=RUNS),
        passes="" if STUDY.latency else "--no-latency",
        code=code_digest("analysis.tables", "analysis.runtime_table"),
    shell:
        "python -m analysis summarize $PROCESS_FOLDERS -o {output.csv:q}"
        " --runs {output.runs:q} --kernels {output.kernels:q} {params.passes}"
        " > {log:q} 2>&1"


# Counts need no image and no GPU: the same for every device.
rule count_memory:
    output:
        "results/counts/{method}/{variant}/memory.json",
    log:
        "results/logs/count_memory/{method}/{variant}.log",
    resources:
        quiet=1,
    params:
        arguments=lambda wildcards: COUNTS[
            "counts/{method}/{variant}".format(**wildcards)
        ].arguments,
        code=lambda wildcards: COUNTS[
            "counts/{method}/{variant}".format(**wildcards)
        ].code_digest,
    shell:
        "python -m profiling memory {params.arguments:q} -o {output:q} > {log:q} 2>&1"


rule memory_table:
    input:
        expand("results/{count}/memory.json", count=COUNTS),
    output:
        csv=report("results/tables/memory.csv", **table_mark("memory")),
        parquet="results/tables/memory.parquet",
        methods=report(
            "results/tables/memory_methods.csv", **table_mark("memory_methods")
        ),
        methods_parquet="results/tables/memory_methods.parquet",
    log:
        "results/logs/memory_table.log",
    resources:
        quiet=1,
    params:
        code=code_digest("analysis.tables", "analysis.memory_table"),
    shell:
        "python -m analysis memory {input:q} -o {output.csv:q} --methods {output.methods:q}"
        " > {log:q} 2>&1"


# Of the first process of each run: what it takes is not a matter of chance.
rule measured_memory_table:
    input:
        runs=expand("results/{run}/run.json", run=first_processes(RUNS)),
        counts=expand("results/{count}/memory.json", count=COUNTS),
    output:
        csv=report(
            "results/tables/memory_measured.csv", **table_mark("memory_measured")
        ),
        parquet="results/tables/memory_measured.parquet",
    log:
        "results/logs/measured_memory_table.log",
    resources:
        quiet=1,
    params:
        folders=expand("results/{run}", run=first_processes(RUNS)),
        code=code_digest("analysis.tables", "analysis.measured_memory_table"),
    shell:
        "python -m analysis measured-memory $RUN_FOLDERS --counts {input.counts:q}"
        " -o {output.csv:q} > {log:q} 2>&1"


rule fits_table:
    input:
        runtime=rules.runtime_table.output.csv,
        memory=rules.memory_table.output.csv,
    output:
        csv=report("results/tables/fits.csv", **table_mark("fits")),
        parquet="results/tables/fits.parquet",
        models=report("results/tables/fit_models.csv", **table_mark("fit_models")),
        models_parquet="results/tables/fit_models.parquet",
        curves=report("results/tables/fit_curves.csv", **table_mark("fit_curves")),
        curves_parquet="results/tables/fit_curves.parquet",
    log:
        "results/logs/fits_table.log",
    resources:
        quiet=1,
    params:
        extrapolate_to_px=STUDY.extrapolate_to_px,
        limit="--beyond-limit" if STUDY.extrapolate_beyond_limit else "",
        code=code_digest("analysis.tables", "analysis.fits.tables"),
    shell:
        "python -m analysis fit --runtime {input.runtime:q} --memory {input.memory:q}"
        " --extrapolate-to {params.extrapolate_to_px} {params.limit} -o {output.csv:q}"
        " --models {output.models:q} --curves {output.curves:q} > {log:q} 2>&1"


rule implementations_table:
    input:
        runtime=rules.runtime_table.output.csv,
        memory=rules.memory_table.output.csv,
    output:
        csv=report(
            "results/tables/implementations.csv", **table_mark("implementations")
        ),
        parquet="results/tables/implementations.parquet",
    log:
        "results/logs/implementations_table.log",
    resources:
        quiet=1,
    params:
        code=code_digest("analysis.tables", "analysis.ratios"),
    shell:
        "python -m analysis implementations --runtime {input.runtime:q}"
        " --memory {input.memory:q} -o {output.csv:q} > {log:q} 2>&1"


rule flops_table:
    input:
        runtime=rules.runtime_table.output.csv,
        memory=rules.memory_table.output.csv,
    output:
        csv=report("results/tables/flops.csv", **table_mark("flops")),
        parquet="results/tables/flops.parquet",
    log:
        "results/logs/flops_table.log",
    resources:
        quiet=1,
    params:
        code=code_digest("analysis.tables", "analysis.ratios"),
    shell:
        "python -m analysis flops --runtime {input.runtime:q} --memory {input.memory:q}"
        " -o {output.csv:q} > {log:q} 2>&1"


rule extrapolation_table:
    input:
        memory=rules.memory_table.output.csv,
    output:
        csv=report(
            "results/tables/memory_extrapolation.csv",
            **table_mark("memory_extrapolation"),
        ),
        parquet="results/tables/memory_extrapolation.parquet",
    log:
        "results/logs/extrapolation_table.log",
    resources:
        quiet=1,
    params:
        extrapolate_to_px=STUDY.extrapolate_to_px,
        code=code_digest("analysis.tables", "analysis.fits.memory_extrapolation"),
    shell:
        "python -m analysis extrapolation --memory {input.memory:q}"
        " --extrapolate-to {params.extrapolate_to_px} -o {output.csv:q} > {log:q} 2>&1"


rule feasibility_table:
    input:
        runtime=rules.runtime_table.output.csv,
        memory=rules.memory_table.output.csv,
        methods=rules.memory_table.output.methods,
        measured=rules.measured_memory_table.output.csv,
    output:
        csv=report("results/tables/feasibility.csv", **table_mark("feasibility")),
        parquet="results/tables/feasibility.parquet",
        limits=report(
            "results/tables/feasibility_limits.csv", **table_mark("feasibility_limits")
        ),
        limits_parquet="results/tables/feasibility_limits.parquet",
    log:
        "results/logs/feasibility_table.log",
    resources:
        quiet=1,
    params:
        hardware=HARDWARE_JSON,
        code=code_digest("analysis.tables", "analysis.feasibility.tables"),
    shell:
        "python -m analysis feasible --tables results/tables --hardware {params.hardware:q}"
        " -o {output.csv:q} --limits {output.limits:q} > {log:q} 2>&1"
