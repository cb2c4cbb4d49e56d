package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/deadletter"
	"holdfast/internal/httpx/httpxtest"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/inventory"
	"holdfast/tests/broker"
	"holdfast/tests/platform"
)

// injections are texts that do harm where a program joins them to a statement or to a line of a log.
var injections = map[string]string{
	"a second statement":  `x'; CREATE TABLE injected(); --`,
	"a condition":         `' OR '1'='1`,
	"a comment":           `x"/**/UNION/**/SELECT/**/NULL--`,
	"a second line":       "x\n{\"level\":\"INFO\",\"msg\":\"forged\"}",
	"a control sequence":  "x\r\x1b[2K{\"msg\":\"forged\"}",
	"another line's end":  "x\u2028{\"msg\":\"forged\"}",
	"a key of the logger": `x" msg="forged" level="INFO`,
}

// TestInjection sends each of these texts in every place of every operation that takes a text, through the gateway. No
// statement but ours is carried out, no request fails with 500, no filter matches more than it names, and each line of
// every log is one entry of ours.
func TestInjection(t *testing.T) {
	t.Parallel()
	queues := broker.Start(t)
	p := platform.Start(t)
	p.StartEvents(queues.URL())
	p.Process("gateway").Stop()
	p.Gateway = "http://" + p.Start("gateway").Address()
	p.Place("alice", http.StatusCreated, platform.OneLine(p.Product(10), 1, "email", "alice@example.org"))
	tables := [2]int{countTables(t, p.Orders), countTables(t, p.Stock)}

	sent := 0
	for _, spec := range [][]byte{
		api.Spec, inventory.OpenAPI, deadletter.OpenAPI, merchantwebhook.OpenAPI, notification.OpenAPI,
	} {
		for _, r := range injected(t, spec) {
			a := p.Do(platform.Operator, r.method, r.path, r.body, r.headers...)
			sent++
			require.Less(t, a.Status, http.StatusInternalServerError, "%s %s %s: %s", r.method, r.path, r.body, a.Raw)
			if items, list := a.Body["items"].([]any); r.filters && list && a.Status == http.StatusOK {
				require.Empty(t, items, "%s %s", r.method, r.path)
			}
		}
	}
	require.Greater(t, sent, 1000)

	require.Equal(t, tables[0], countTables(t, p.Orders))
	require.Equal(t, tables[1], countTables(t, p.Stock))
	for _, name := range []string{"gateway", "api", "inventory", "worker", "events"} {
		requireOwnLines(t, name, p.Process(name).Log())
	}
}

// injection is a request with one text in one place.
type injection struct {
	method, path, body string
	headers            []string
	filters            bool // the text is the value of a filter of a list
}

func injected(t *testing.T, spec []byte) (out []injection) {
	t.Helper()
	bodies := map[string]any{}
	if strings.Contains(string(spec), "requestBody:") {
		for _, o := range httpxtest.Operations(t, spec) {
			bodies[o.Method+" "+o.Route] = o.Body
		}
	}
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	require.NoError(t, err)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if _, offered := op.Extensions["x-gateway"]; !offered {
				continue
			}
			body := bodies[method+" "+path]
			for _, text := range injections {
				for _, p := range slices.Concat(item.Parameters, op.Parameters) {
					out = append(out, inParameter(method, path, p.Value, text))
				}
				if body == nil {
					continue
				}
				for _, raw := range httpxtest.Inject(t, body, text) {
					out = append(out, injection{method: method, path: fillPath(path), body: raw})
				}
			}
		}
	}
	return out
}

// fillPath gives the parameters of a path values of their form.
func fillPath(path string) string {
	path = strings.NewReplacer("{number}", "1", "{location}", "main", "{code}", "main").Replace(path)
	for {
		begin, end := strings.Index(path, "{"), strings.Index(path, "}")
		if begin < 0 {
			return path
		}
		path = path[:begin] + uuid.NewString() + path[end+1:]
	}
}

func inParameter(method, path string, p *openapi3.Parameter, text string) injection {
	r := injection{method: method, path: path}
	switch p.In {
	case openapi3.ParameterInPath:
		r.path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(text))
	case openapi3.ParameterInQuery:
		r.path += "?" + url.Values{p.Name: {text}}.Encode()
		r.filters = true
	case openapi3.ParameterInHeader:
		// net/http sends no line breaks in a header.
		r.headers = []string{p.Name, strings.NewReplacer("\n", " ", "\r", " ", "\x1b", " ").Replace(text)}
	}
	before, after, _ := strings.Cut(r.path, "?")
	if r.path = fillPath(before); after != "" {
		r.path += "?" + after
	}
	return r
}

func countTables(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_class WHERE relkind = 'r'").Scan(&n))
	return n
}

// requireOwnLines checks that each line of a log is one JSON object, and none is what an injection pretends.
func requireOwnLines(t *testing.T, process, log string) {
	t.Helper()
	require.NotContains(t, log, "\x1b", process)
	for line := range strings.Lines(log) {
		var entry struct{ Msg string }
		require.NoError(t, json.Unmarshal([]byte(line), &entry), "%s: %s", process, line)
		require.NotEqual(t, "forged", entry.Msg, "%s: %s", process, line)
	}
}
