"""``mirror.yaml`` → ``Spec``: what the mirror must hold, as frozen values.

``model`` the values · ``load`` the document into values · ``document`` YAML beside types · ``schema`` the types ·
``units`` amounts. Every key is described in ``docs/spec.md``.
"""
