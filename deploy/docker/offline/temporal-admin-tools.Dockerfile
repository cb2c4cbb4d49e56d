# A stand-in for the image temporalio/admin-tools, with the one tool that our compose files use.
FROM holdfast-offline/debian:bookworm
RUN useradd --uid 1000 --create-home temporal
COPY temporal-sql-tool /usr/local/bin/
USER temporal
CMD ["temporal-sql-tool", "--help"]
