"""What runs the course: its parameters, run folders, runs and sweeps.

The modules, in order: paths, series, parameters, run_folder, lesson, audit, explorer, checks, runs,
sweep_search, sweep_plan, sweep_run, sweep_table, commands, cli.
A module imports only modules that stand before it, and those of the science, `bpr_helpers`.
"""
