"""Offline package indexes from a declarative spec.

The line, and the module that owns each step (a module imports only from its own row or the rows above)::

    errors, progress                 what every row may use
    environment, platforms, spec,    what was asked: mirror.yaml → Spec                               pure
    lockfiles
    simple, distribution, metadata,  what upstream has: pages and file names → values                 pure
    needs
    selection, closure, roots,       what we decide: rules and pages → Wanted → Plan → Snapshot         pure
    layout, snapshot, plan, limits,
    settings, pages, pieces
    workers, tls, reachability,      doing it: requests, downloads, the pool, the pages                I/O
    wire, rate, transport, credentials, default_index, validators,
    serials, upstream, archive,
    sdist, remote_wheel, download,
    metadata_source, provenance,
    storage, positioned, pool_record, pool,
    state, stored_snapshot, settled, history,
    published_pages,
    contents, descriptions,
    description_worker, documents,
    page_files, links_page, page_record, site_record,
    publish, front_page, publish_documents, flat,
    quarantine, lock, serving,
    tree_facts, judge_uv, offline,
    interpreters, installing
    commands                         one file per verb, each a short walk along the line
    console, running, cli            terminal and command line

``docs/architecture.md`` says it in a page.
"""
