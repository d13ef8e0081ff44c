"""Offline package indexes from a declarative spec.

The line, and the module that owns each step (a module imports only from its own row or the rows above)::

    errors, progress                 what every row may use
    environment, spec, lockfiles     what was asked: mirror.yaml → Spec                               pure
    simple, distribution, metadata   what upstream has: pages and file names → values                 pure
    selection, layout, snapshot,     what we decide: rules and pages → Wanted → Plan → Snapshot         pure
    plan, limits, settings, pages,
    pieces
    workers, transport, credentials, doing it: requests, downloads, the pool, the pages                I/O
    default_index, upstream, archive,
    sdist, download, provenance,
    storage, pool, state, history,
    contents, descriptions,
    description_worker, documents,
    page_files, page_record, publish,
    publish_documents, flat,
    quarantine, lock, serving
    commands                         one file per verb, each a short walk along the line
    console, running, cli            terminal and command line

``docs/architecture.md`` says it in a page.
"""
