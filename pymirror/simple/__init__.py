"""The Simple repository API, both ways: ``model``, ``parse`` (``parse_html``, ``parse_json``), ``render``.

https://packaging.python.org/specifications/simple-repository-api/ (PEP 503, 592, 629, 658, 691, 700, 714, 740, 792)
"""
