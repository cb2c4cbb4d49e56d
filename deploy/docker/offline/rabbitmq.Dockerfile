# A stand-in for the image rabbitmq of Docker Hub with its management plugin, from Debian's package.
FROM holdfast-offline/debian:trixie
RUN apt-get update && apt-get install -y --no-install-recommends rabbitmq-server && rm -rf /var/lib/apt/lists/* \
 && rabbitmq-plugins enable --offline rabbitmq_management rabbitmq_prometheus \
 && mkdir -p /etc/rabbitmq/conf.d && rm -rf /var/lib/rabbitmq/mnesia
# The account guest may come from outside the container, as in the image of Docker Hub.
RUN printf 'loopback_users.guest = false\nlog.console = true\nlog.file = false\n' > /etc/rabbitmq/conf.d/10-defaults.conf
VOLUME /var/lib/rabbitmq
EXPOSE 5672 15672 15692
USER rabbitmq
ENV HOME=/var/lib/rabbitmq LANG=C.UTF-8
CMD ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
