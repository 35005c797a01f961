"""What the server has done in processes of its own, in a folder each. No torch, no server here.

`extractions` fill payloads, `interventions` and `maps` run the network on a few images, `summaries`
read many payloads for the list of versions, and `reader` reads files of strangers. Importing one
imports none of the others: a reader starts with the server.
"""
