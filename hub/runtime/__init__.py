"""What every long-running part needs: supervision, clocks, back-off, logs, and the limits of the process."""
