# A stand-in for the image temporalio/server: the same program, built from its published module (tools/temporal-server).
FROM holdfast-offline/debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends netcat-openbsd && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home temporal
COPY temporal-server /usr/local/bin/
COPY temporal-entrypoint.sh /etc/temporal/entrypoint.sh
WORKDIR /etc/temporal
USER temporal
EXPOSE 7233
CMD ["/bin/sh", "/etc/temporal/entrypoint.sh"]
