package main

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/httpx"
	"holdfast/internal/telemetry"
	"holdfast/internal/temporalclient"
	"holdfast/tests/localservice"
)

const (
	root            = "../../"
	developmentFile = root + "docker-compose.yml"
	watchFile       = root + "deploy/docker/compose.dev.yml"
	productionFile  = root + "deploy/docker/compose.prod.yml"
)

// compose reads compose files as the program does, with every profile.
func compose(t *testing.T, files ...string) *types.Project {
	t.Helper()
	return composeWith(t, nil, files...)
}

// composeWith is compose with settings of an operator.
func composeWith(t *testing.T, settings []string, files ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files,
		cli.WithEnv(append([]string{"HOLDFAST_VERSION=0123456789ab"}, settings...)),
		cli.WithProfiles([]string{"*"}),
	)
	require.NoError(t, err)
	project, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return project
}

func development(t *testing.T) *types.Project {
	t.Helper()
	return compose(t, developmentFile)
}

func production(t *testing.T) *types.Project {
	t.Helper()
	return compose(t, productionFile)
}

// source reads a file of the repository.
func source(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(root + path)
	require.NoError(t, err)
	return string(raw)
}

// found returns what the expression's only group matches in the text, sorted and each once.
func found(expression, text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func ours(s types.ServiceConfig) bool { return strings.HasPrefix(s.Image, "holdfast:") }

// commands are the configurations of the commands that the compose files run beside the processes.
var commands = map[string]reflect.Type{
	"migrate": reflect.TypeFor[databases](),
	"seed":    reflect.TypeFor[seedConfig](),
	"demo":    reflect.TypeFor[auth.Config](),
	"secrets": reflect.TypeFor[struct{}](),
	"deploy": reflect.TypeFor[struct {
		Temporal   temporalclient.Config
		Deployment string `env:"TEMPORAL_DEPLOYMENT_NAME"`
	}](),
}

// isProcess reports whether a service runs a process of the platform.
func isProcess(s types.ServiceConfig) bool {
	return ours(s) && len(s.Command) > 0 && processes[s.Command[0]] != nil
}

// TestComposeSetsOnlyKnownVariables: every variable that a container of ours gets is one that its process or command
// reads, as itself or as NAME_FILE, and every variable that it must have is set.
func TestComposeSetsOnlyKnownVariables(t *testing.T) {
	t.Parallel()
	for _, file := range []string{developmentFile, productionFile} {
		for name, service := range compose(t, file).Services {
			if !ours(service) {
				continue
			}
			require.NotEmpty(t, service.Command, name)
			known, required := map[string]string{}, map[string]bool{}
			configuration := commands[service.Command[0]]
			if isProcess(service) {
				configuration = processes[service.Command[0]]
				collect(reflect.TypeFor[config.Common](), known)
			}
			require.NotNil(t, configuration, "%s: %s runs %v, which this test does not know", file, name, service.Command)
			collect(configuration, known)
			collectRequired(configuration, required)

			for variable, value := range service.Environment {
				plain := strings.TrimSuffix(variable, "_FILE")
				require.Contains(t, known, plain, "%s: %s", file, name)
				require.NotNil(t, value, "%s: %s: %s has a value", file, name, variable)
				delete(required, plain)
			}
			require.Empty(t, required, "%s: %s lacks variables", file, name)
		}
	}
}

func collectRequired(c reflect.Type, into map[string]bool) {
	for i := range c.NumField() {
		f := c.Field(i)
		if name, options, tagged := strings.Cut(f.Tag.Get("env"), ","); tagged && strings.Contains(options, "required") {
			into[name] = true
		} else if f.Type.Kind() == reflect.Struct {
			collectRequired(f.Type, into)
		}
	}
}

// TestComposeImagesArePinned: every image of others names a version, and Temporal's are those of the modules that the
// development stack embeds.
func TestComposeImagesArePinned(t *testing.T) {
	t.Parallel()
	version := regexp.MustCompile(`^[a-z/]+[a-z-]*:v?\d+\.\d+\.\d+(-[a-z]+)?$|^postgres:\d+\.\d+-bookworm$`)
	modules := source(t, "dev/go.mod")
	for _, file := range []string{developmentFile, productionFile} {
		for name, service := range compose(t, file).Services {
			if ours(service) {
				continue
			}
			require.Regexp(t, version, service.Image, "%s: %s", file, name)
			image, tag, _ := strings.Cut(service.Image, ":")
			switch image {
			case "temporalio/server", "temporalio/admin-tools":
				require.Contains(t, modules, "go.temporal.io/server v"+tag+"\n")
			case "temporalio/ui":
				require.Contains(t, modules, "github.com/temporalio/ui-server/v2 v"+tag+"\n")
			}
		}
	}
	containers := source(t, "tests/testenv/container.go")
	for _, service := range []string{"postgres", "redis", "rabbitmq"} {
		require.Contains(t, containers, `"`+images(development(t), service)+`"`, "the tests use the same images")
		if pinned := images(production(t), service); pinned != "" {
			require.Equal(t, images(development(t), service), pinned)
		}
	}
	golang := "FROM golang:" + found(`(?m)^go (\S+)$`, modules)[0] + "-bookworm"
	require.Contains(t, source(t, "Dockerfile"), golang+" AS build\n")
	require.Contains(t, source(t, "Dockerfile.dev"), golang+"\n")
	for _, module := range []string{"go.temporal.io/server", "github.com/temporalio/ui-server/v2"} {
		expression := `(?m)^\s*` + regexp.QuoteMeta(module) + ` (v\S+)`
		require.Equal(t, found(expression, modules), found(expression, source(t, "tools/temporal-server/go.mod")))
	}
}

func images(p *types.Project, service string) string { return p.Services[service].Image }

// TestComposeRunsWhatMakeUpRuns: each process and each setting of `make up` is in docker-compose.yml, and the other way
// round.
func TestComposeRunsWhatMakeUpRuns(t *testing.T) {
	t.Parallel()
	var running []string
	settings := map[string]bool{}
	project := development(t)
	for name, service := range project.Services {
		if isProcess(service) {
			require.Equal(t, name, service.Command[0])
			running = append(running, name)
		}
		if ours(service) {
			for variable := range service.Environment {
				settings[strings.TrimSuffix(variable, "_FILE")] = true
			}
		}
	}
	slices.Sort(running)
	stack := source(t, "dev/stack/processes.go")
	// A developer runs `holdfast audit` by hand.
	require.ElementsMatch(t, append(found(`run\(s, "([^"]+)"`, stack), "audit"), running)
	require.Equal(t, slices.Sorted(maps.Keys(processes)), running, "the binary has no other process")

	all := stack + source(t, "dev/stack/backing.go") + source(t, "dev/stack/secrets.go") + source(t, "dev/stack/stack.go")
	made := found(`(?:setVar\(|s\.vars\[|vars\[|\{|, |\t)"([A-Z]+_[A-Z_]+)"`, all)
	delete(settings, "TEMPORAL_NAMESPACE") // both use the default
	delete(settings, "AUDIT_LISTEN")
	require.Equal(t, made, slices.Sorted(maps.Keys(settings)))

	for _, backing := range []string{"postgres", "redis", "rabbitmq", "temporal", "temporal-ui"} {
		require.Empty(t, project.Services[backing].Profiles, "%s is in the default profile", backing)
	}

	build := found(`const buildID = "([^"]+)"`, source(t, "dev/stack/stack.go"))[0]
	require.Equal(t, build, *project.Services["worker"].Environment["TEMPORAL_WORKER_BUILD_ID"])
	require.Equal(t, types.ShellCommand{"deploy", "set-current", build}, project.Services["set-current"].Command)
	worker := production(t).Services["worker"]
	require.Equal(t, types.ShellCommand{"deploy", "set-current", *worker.Environment["TEMPORAL_WORKER_BUILD_ID"]},
		production(t).Services["set-current"].Command)
}

// TestComposePublishesTheKnownPorts: the development file publishes the ports of `make up` on this machine only, each
// process listens where its default says, and the production file publishes only the gateway and the codec server.
func TestComposePublishesTheKnownPorts(t *testing.T) {
	t.Parallel()
	want := map[string]string{ // published → service:port in the container
		"3002":  "grafana:3000",
		"9095":  "prometheus:9090",
		"16686": "jaeger:16686",
		"4317":  "jaeger:4317",
		"9094":  "audit:9094",
		strconv.Itoa(localservice.DefaultPostgresPort):           "postgres:5432",
		strconv.Itoa(localservice.DefaultRedisPort):              "redis:6379",
		strconv.Itoa(localservice.DefaultRabbitMQPort):           "rabbitmq:5672",
		strconv.Itoa(localservice.DefaultRabbitMQManagementPort): "rabbitmq:15672",
	}
	known := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+(\w+):\s+(\d+),$`).FindAllStringSubmatch(
		source(t, "dev/stack/ports.go"), -1) {
		known[m[1]] = m[2]
	}
	inside := map[string]string{"temporal": "7233", "temporalUI": "8080"}
	names := map[string]string{
		"temporalUI":     "temporal-ui",
		"sandbox":        "payment-sandbox",
		"gatewayPrivate": "gateway",
	}
	for name, port := range known {
		service := name
		if other, ok := names[name]; ok {
			service = other
		}
		container := port
		if other, ok := inside[name]; ok {
			container = other
		}
		want[port] = service + ":" + container
	}

	got := map[string]string{}
	for name, service := range development(t).Services {
		for _, p := range service.Ports {
			require.Equal(t, "127.0.0.1", p.HostIP, "%s: only this machine reaches it", name)
			got[p.Published] = fmt.Sprintf("%s:%d", name, p.Target)
		}
	}
	require.Equal(t, want, got)

	for _, project := range []*types.Project{development(t), production(t)} {
		for name, variable := range map[string]string{
			"gateway": "GATEWAY_LISTEN", "api": "API_LISTEN", "inventory": "INVENTORY_LISTEN",
			"worker": "WORKER_LISTEN", "payment-sandbox": "SANDBOX_LISTEN", "events": "EVENTS_LISTEN",
			"codec": "CODEC_LISTEN", "audit": "AUDIT_LISTEN",
		} {
			defaults := map[string]string{}
			collect(processes[name], defaults)
			if name == "gateway" {
				private := defaults["GATEWAY_PRIVATE_LISTEN"]
				require.Equal(t, private[strings.LastIndex(private, ":"):],
					*project.Services[name].Environment["GATEWAY_PRIVATE_LISTEN"], "Prometheus is another container")
			}
			port := defaults[variable][strings.LastIndex(defaults[variable], ":"):]
			require.Equal(t, port, *project.Services[name].Environment[variable], name)
			require.Contains(t, source(t, "Dockerfile"), strings.TrimPrefix(port, ":"), "EXPOSE")
		}
	}

	for name, service := range production(t).Services {
		switch name {
		case "gateway", "codec":
			require.Len(t, service.Ports, 1, name)
			require.Equal(t, []string{"edge", "internal"}, slices.Sorted(maps.Keys(service.Networks)), name)
		default:
			require.Empty(t, service.Ports, "%s is not published in production", name)
			want := []string{"internal"}
			switch {
			case name == "events": // it sends the webhooks of merchants
				want = append(want, "outgoing")
			case name == "audit", strings.HasPrefix(name, "worker"): // they call the payment provider
				want = append(want, "outgoing")
			}
			require.Equal(t, want, slices.Sorted(maps.Keys(service.Networks)), name)
		}
	}
	require.True(t, production(t).Networks["internal"].Internal)
}

// TestComposeStartsByHealth: every dependency waits for the health of a service, or for the end of a command, and that
// health check is a real one.
func TestComposeStartsByHealth(t *testing.T) {
	t.Parallel()
	for _, file := range []string{developmentFile, productionFile, watchFile} {
		files := []string{file}
		if file == watchFile {
			files = []string{developmentFile, watchFile}
		}
		project := compose(t, files...)
		for name, service := range project.Services {
			for other, dependency := range service.DependsOn {
				needed := project.Services[other]
				switch dependency.Condition {
				case types.ServiceConditionHealthy:
					require.NotNil(t, needed.HealthCheck, "%s waits for the health of %s", name, other)
				case types.ServiceConditionCompletedSuccessfully:
					require.Equal(t, "no", needed.Restart, "%s waits for the end of %s", name, other)
				default:
					require.Fail(t, "a start that is not ordered", "%s: %s and %s", file, name, other)
				}
			}

			once := service.Restart == "no"
			if once || name == "jaeger" { // its image has no program that could ask
				require.True(t, service.HealthCheck == nil || service.HealthCheck.Disable, name)
				continue
			}
			require.NotNil(t, service.HealthCheck, name)
			require.Equal(t, "CMD", service.HealthCheck.Test[0], "%s: no shell is needed", name)
			if isProcess(service) {
				require.Equal(t, types.HealthCheckTest{"CMD", "/holdfast", "health"}, service.HealthCheck.Test, name)
			}
		}
	}

	// What `holdfast health` and the Web UI's check ask for is served.
	router := httpx.NewRouter(httpx.Options{
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		Registry: telemetry.NewRegistry(),
		Health:   httpx.NewHealth(),
	})
	served := []string{}
	for _, r := range router.Routes() {
		served = append(served, r.Method+" "+r.Path)
	}
	for name := range processes {
		url, err := readyURL(listens{
			Gateway:   "127.0.0.1:9092",
			API:       ":3001",
			Sandbox:   "127.0.0.1:3003",
			Inventory: ":8080",
			Worker:    ":9090",
			Events:    ":9091",
			Codec:     ":9093",
			Audit:     ":9094",
		}, name)
		require.NoError(t, err)
		require.Contains(t, served, http.MethodGet+" "+url[strings.LastIndex(url, "/"):])
	}
	require.Contains(t, source(t, "dev/temporalserver/server.go"), `"/healthz"`)
}

// TestComposeInProduction: each container has limits, a restart policy and bounded logs; ours cannot write, cannot gain
// rights, and get their secrets as files.
func TestComposeInProduction(t *testing.T) {
	t.Parallel()
	project := production(t)
	for name, service := range project.Services {
		require.NotNil(t, service.Deploy, name)
		require.NotNil(t, service.Deploy.Resources.Limits, name)
		require.Positive(t, service.Deploy.Resources.Limits.MemoryBytes, name)
		require.Positive(t, float32(service.Deploy.Resources.Limits.NanoCPUs), name)
		if strings.HasPrefix(name, "worker") { // docs/guides/scaling.md says what it needs
			require.GreaterOrEqual(t, int64(service.Deploy.Resources.Limits.MemoryBytes), int64(768<<20), name)
		}
		require.Contains(t, []string{"no", "unless-stopped"}, service.Restart, name)
		require.NotEmpty(t, service.Logging.Options["max-size"], name)
		for variable, value := range service.Environment {
			require.NotContains(t, *value, "postgres://", "%s: %s is a secret", name, variable)
			if strings.HasSuffix(variable, "_FILE") {
				secret := strings.TrimPrefix(*value, "/run/secrets/")
				require.Contains(t, project.Secrets, secret, name)
				require.True(t, slices.ContainsFunc(service.Secrets, func(s types.ServiceSecretConfig) bool {
					return s.Source == secret
				}), "%s gets the secret %s", name, secret)
			}
			require.False(t, regexp.MustCompile(`(PASSWORD|SECRET|KEYS|PWD)$`).MatchString(variable),
				"%s: %s belongs into a file", name, variable)
		}
		if ours(service) {
			require.True(t, service.ReadOnly, name)
			require.Equal(t, []string{"ALL"}, service.CapDrop, name)
			require.Contains(t, service.SecurityOpt, "no-new-privileges:true", name)
			require.Empty(t, service.User, "%s: the image's user", name)
		}
	}

	// make-secrets.sh makes what the file asks for.
	dir := t.TempDir()
	script, err := filepath.Abs(root + "deploy/docker/make-secrets.sh")
	require.NoError(t, err)
	for range 2 {
		out, err := exec.CommandContext(t.Context(), "/bin/sh", script, dir).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	made, err := filepath.Glob(dir + "/*")
	require.NoError(t, err)
	var names []string
	for _, path := range made {
		name := filepath.Base(path)
		names = append(names, name)
		mode := fs.FileMode(0o444)
		if content, err := os.ReadFile(path); err == nil && string(content) == "\n" { // empty: its owner writes into it
			mode = 0o644
		}
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode(), name)
	}
	require.Equal(t, slices.Sorted(maps.Keys(project.Secrets)), names)
	_, err = config.LoadFrom[auth.Config](map[string]string{"JWT_SECRET_FILE": filepath.Join(dir, "jwt_secret")})
	require.NoError(t, err, "the secret is long enough")
	_, err = config.LoadFrom[databases](map[string]string{
		"ORDERS_DATABASE_URL_FILE":    filepath.Join(dir, "orders_database_url"),
		"INVENTORY_DATABASE_URL_FILE": filepath.Join(dir, "inventory_database_url"),
	})
	require.NoError(t, err)

	text := source(t, "deploy/docker/compose.prod.yml")
	example := source(t, "deploy/docker/prod.env.example")
	require.Equal(t, found(`[^$]\$\{([A-Z_]+)`, text), found(`(?m)^(?:# )?([A-Z_]+)=`, example))
	for _, m := range regexp.MustCompile(`(?m)^# ([A-Z_]+)=(\S+)`).FindAllStringSubmatch(example, -1) {
		require.Contains(t, text, "${"+m[1]+":-"+m[2]+"}", "the default")
	}
}

// TestComposeWatchesEveryProcess: with the file for rebuild on save each process runs the built binary and has a
// debugger's port of its own.
func TestComposeWatchesEveryProcess(t *testing.T) {
	t.Parallel()
	project := compose(t, developmentFile, watchFile)
	ports := map[string]string{}
	for name := range processes {
		service := project.Services[name]
		require.Equal(t, types.ShellCommand{"/bin/sh", "/usr/local/bin/watch.sh", "run"}, service.Entrypoint, name)
		require.Equal(t, name, service.Command[0])
		for _, p := range service.Ports {
			require.Equal(t, "127.0.0.1", p.HostIP)
			if p.Target == 2345 {
				require.Empty(t, ports[p.Published], p.Published)
				ports[p.Published] = name
			}
		}
	}
	require.Len(t, ports, len(processes))
	require.Contains(t, source(t, "Dockerfile.dev"), "deploy/docker/dev/watch.sh")
}
