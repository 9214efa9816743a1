"""The machine: settings, files, other programs, Docker, messages on stderr. Knows neither Boulder nor the cluster."""
