# A stand-in for the image redis of Docker Hub, from Debian's package.
FROM holdfast-offline/debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*
WORKDIR /data
RUN chown redis:redis /data
USER redis
EXPOSE 6379
# As in the image of Docker Hub, the container's network decides who reaches it.
COPY redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["/bin/sh", "/usr/local/bin/docker-entrypoint.sh"]
CMD ["redis-server"]
