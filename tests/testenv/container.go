package testenv

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// containerSpec is one service as a container.
type containerSpec struct {
	image, port string
	env         map[string]string
	command     []string
	ready       wait.Strategy
	url         func(hostPort string) string
}

// The images are those of docker-compose.yml, so that `make images-offline` makes them, too.
var (
	postgresContainer = &containerSpec{
		image: "postgres:15.18-bookworm", port: "5432/tcp",
		env:     map[string]string{"POSTGRES_USER": "holdfast", "POSTGRES_HOST_AUTH_METHOD": "trust"},
		command: []string{"postgres", "-c", "fsync=off", "-c", "max_connections=300"},
		// Over TCP: the image's first server, which initialises the cluster, listens on its socket only.
		ready: wait.ForExec([]string{"pg_isready", "-q", "-h", "127.0.0.1", "-U", "holdfast", "-d", "postgres"}),
		url: func(hostPort string) string {
			return "postgres://holdfast@" + hostPort + "/postgres?sslmode=disable"
		},
	}
	redisContainer = &containerSpec{
		image: "redis:7.0.15-bookworm", port: "6379/tcp",
		ready: wait.ForLog("Ready to accept connections"),
		url:   func(hostPort string) string { return "redis://" + hostPort + "/0" },
	}
	rabbitContainer = &containerSpec{
		image: "rabbitmq:4.0.5-management", port: "5672/tcp",
		ready: wait.ForLog("Server startup complete"),
		url:   func(hostPort string) string { return "amqp://guest:guest@" + hostPort + "/" },
	}
)

// containerTimeout bounds a container's start, its image's download included.
const containerTimeout = 3 * time.Minute

// startContainer runs a container. testcontainers' reaper ends it when this process ends, at the latest.
func startContainer(spec *containerSpec) (address string, stop func(context.Context) error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), containerTimeout)
	defer cancel()
	options := []testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts(spec.port),
		testcontainers.WithEnv(spec.env),
		testcontainers.WithWaitStrategyAndDeadline(containerTimeout, spec.ready, wait.ForListeningPort(spec.port)),
	}
	if spec.command != nil {
		options = append(options, testcontainers.WithCmd(spec.command...))
	}
	c, err := testcontainers.Run(ctx, spec.image, options...)
	stop = func(context.Context) error { return testcontainers.TerminateContainer(c) }
	if err == nil {
		address, err = c.PortEndpoint(ctx, spec.port, "")
	}
	if err != nil {
		_ = stop(ctx) // the reaper takes care of what this leaves
		return "", nil, fmt.Errorf("start a container of %s: %w", spec.image, err)
	}
	return spec.url(address), stop, nil
}

// dockerAnswers reports whether a Docker engine answers at DOCKER_HOST or at the usual socket. testcontainers
// would try more addresses and wait longer, and machines without Docker should not wait for that.
var dockerAnswers = sync.OnceValue(func() bool {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	return engineAnswers(host)
})

func engineAnswers(host string) bool {
	u, err := url.Parse(host)
	if err != nil {
		return false
	}
	network, address := "tcp", u.Host
	if u.Scheme == "unix" {
		network, address = "unix", u.Path
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return false
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}
