"""``toolwise serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    corpus: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Corpus (.jsonl or .parquet), or the folder of a saved index."),
    ],
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="DIR_OR_HUB_ID",
            help="Search by meaning with this encoder (needs the extra 'dense'), not by words.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
) -> None:
    """Serve a corpus to the tool http_search, with the protocol of Search-R1's retriever, until Ctrl-C.

    Example: toolwise serve --corpus corpus.jsonl --port 8000
    """
    from toolwise.tools import DenseIndex, Encoder, Retriever, SearchIndex, retrieval_server

    retriever: Retriever
    if encoder is None:
        retriever = SearchIndex.load(corpus) if corpus.is_dir() else SearchIndex.from_file(corpus)
    else:
        read = DenseIndex.load if corpus.is_dir() else DenseIndex.from_file
        retriever = read(corpus, Encoder(encoder))
    with retrieval_server(retriever, host=host, port=port) as server:
        at = f"http://{host}:{server.server_address[1]}/retrieve"
        typer.echo(f"serving at {at}\nuse: --set 'tools=[{{type: http_search, url: \"{at}\"}}]'")
        server.serve_forever()
