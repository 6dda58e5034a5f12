"""The anomaly-detection methods: what each is (``spec``, without torch) and how it runs."""
