package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
)

// listens says where each process answers /ready, by the same variables and defaults as the process.
type listens struct {
	Gateway   string `env:"GATEWAY_PRIVATE_LISTEN" envDefault:"127.0.0.1:9092"`
	API       string `env:"API_LISTEN" envDefault:":3001"`
	Sandbox   string `env:"SANDBOX_LISTEN" envDefault:"127.0.0.1:3003"`
	Inventory string `env:"INVENTORY_LISTEN" envDefault:":8080"`
	Worker    string `env:"WORKER_LISTEN" envDefault:":9090"`
	Events    string `env:"EVENTS_LISTEN" envDefault:":9091"`
	Codec     string `env:"CODEC_LISTEN" envDefault:":9093"`
	Audit     string `env:"AUDIT_LISTEN" envDefault:":9094"`
}

func (l listens) byProcess() map[string]string {
	return map[string]string{
		"gateway":         l.Gateway,
		"api":             l.API,
		"payment-sandbox": l.Sandbox,
		"inventory":       l.Inventory,
		"worker":          l.Worker,
		"events":          l.Events,
		"codec":           l.Codec,
		"audit":           l.Audit,
	}
}

// healthTimeout is a little longer than /ready takes at most.
const healthTimeout = 4 * time.Second

func newHealth() *cobra.Command {
	return &cobra.Command{
		Use: "health [PROCESS | URL]", Args: arguments("[PROCESS | URL]"), Example: "  holdfast health worker",
		Short: "Ask a process whether it is ready; the exit status is the answer.",
		Long: "Asks /ready of a process on this machine, which is named (gateway, api, …) and found by its variable, as\n" +
			"in API_LISTEN, or any other URL. Without an argument it asks the process that a container runs as its\n" +
			"first, so that one image serves every process. The exit status is 0 if the answer is 200; otherwise the\n" +
			"command prints the answer.",
		RunE: func(cmd *cobra.Command, args []string) error {
			target := strings.Join(args, "")
			if target == "" {
				name, err := firstProcess("/proc/1/cmdline")
				if err != nil {
					return err
				}
				target = name
			}
			if !strings.Contains(target, "://") {
				cfg, err := config.Load[listens]()
				if err != nil {
					return err
				}
				if target, err = readyURL(cfg, target); err != nil {
					return err
				}
			}
			return checkHealth(cmd.Context(), target)
		},
	}
}

// firstProcess finds the name of a process of ours in the command line of the container's first program.
func firstProcess(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("find the container's process: %w", err)
	}
	known := listens{}.byProcess()
	for _, word := range bytes.Split(raw, []byte{0}) {
		if _, ok := known[string(word)]; ok {
			return string(word), nil
		}
	}
	return "", errors.New("the first program of this container is no process of the platform; name a process or a URL")
}

func readyURL(cfg listens, name string) (string, error) {
	address, ok := cfg.byProcess()[name]
	if !ok {
		names := []string{}
		for n := range cfg.byProcess() {
			names = append(names, n)
		}
		slices.Sort(names)
		return "", fmt.Errorf("%q is no process; it is one of %s, or a URL", name, strings.Join(names, ", "))
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("where %s listens: %w", name, err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return (&url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: "/ready"}).String(), nil
}

func checkHealth(ctx context.Context, target string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	if res.StatusCode == http.StatusOK {
		return nil
	}
	said, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	return fmt.Errorf("%s answers %s: %s", target, res.Status, bytes.TrimSpace(said))
}
