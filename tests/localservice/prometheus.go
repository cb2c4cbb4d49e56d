package localservice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// PrometheusPackage is the server that collects metrics. It is no part of the stack that `make up` needs.
var PrometheusPackage = Package{"Prometheus", "prometheus", "prometheus"}

var prometheusServer = processKind{"prometheus", syscall.SIGTERM}

// Prometheus is a private Prometheus server.
type Prometheus struct {
	*instance
	port int
}

// Scraping says what a Prometheus collects.
type Scraping struct {
	Targets map[string]string // the host and port of each job
	Rules   []byte            // of its alerts
}

// StartPrometheus starts Prometheus in o.Dir and returns once it is ready. It keeps what it collects for a day. ctx
// bounds the start, not the life of the server.
func StartPrometheus(ctx context.Context, o Options, s Scraping) (*Prometheus, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	owner, err := identityFor("prometheus", "nobody")
	if err != nil {
		return nil, err
	}
	i, err := prepare(ctx, "Prometheus", o, owner, prometheusServer)
	if err != nil {
		return nil, err
	}
	p := &Prometheus{instance: i}
	if err := p.start(ctx, o, s); err != nil {
		return nil, i.abandon(err)
	}
	return p, nil
}

// StopLeftPrometheus stops a Prometheus that a killed run left behind in o.Dir. StartPrometheus does the same; this is
// for a run that starts none.
func StopLeftPrometheus(ctx context.Context, o Options) error {
	o, err := o.checked()
	if err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no run of this directory has started one
	}
	if err != nil {
		return fmt.Errorf("find the directory of Prometheus: %w", err)
	}
	return stopLeftovers(ctx, dir, o.Log.With("service", "Prometheus"), prometheusServer)
}

func (p *Prometheus) start(ctx context.Context, o Options, s Scraping) error {
	binary, err := find(PrometheusPackage.Binary)
	if err != nil {
		return err
	}
	if p.port, err = p.takePort(o.Port, p.title); err != nil {
		return err
	}
	config := filepath.Join(p.dir, "prometheus.yml")
	for path, content := range map[string][]byte{
		config:                            []byte(s.config()),
		filepath.Join(p.dir, "rules.yml"): s.Rules,
	} {
		if err := errors.Join(os.WriteFile(path, content, 0o644), p.owner.chown(path)); err != nil {
			return fmt.Errorf("configure: %w", err)
		}
	}
	return p.run(ctx, program{
		name:  "prometheus",
		path:  binary,
		dir:   p.dir,
		owner: p.owner,
		args: []string{
			"--config.file=" + config,
			"--storage.tsdb.path=" + filepath.Join(p.dir, "data"),
			"--storage.tsdb.retention.time=1d",
			"--web.listen-address=127.0.0.1:" + strconv.Itoa(p.port),
		},
		log:  filepath.Join(p.dir, "prometheus.log"),
		stop: syscall.SIGTERM,
	}, p.ready)
}

// config is the server's configuration. It is written at each start, because ports may have moved.
func (s Scraping) config() string {
	var b strings.Builder
	b.WriteString("# Written at each start.\nglobal: {scrape_interval: 5s, evaluation_interval: 5s}\n" +
		"rule_files: [rules.yml]\nscrape_configs:\n")
	for _, job := range slices.Sorted(maps.Keys(s.Targets)) {
		fmt.Fprintf(&b, "  - {job_name: %s, static_configs: [{targets: [%q]}]}\n", job, s.Targets[job])
	}
	return b.String()
}

func (p *Prometheus) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+"/-/ready", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return nil
}

// URL is the address of the server and of its pages.
func (p *Prometheus) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", p.port) }

// Port is the port the server listens on.
func (p *Prometheus) Port() int { return p.port }
