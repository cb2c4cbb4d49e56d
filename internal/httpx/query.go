package httpx

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"

	"holdfast/internal/problem"
)

// maxEcho bounds what an answer repeats of a name that is not ours, in bytes.
const maxEcho = 64

// StrictQuery returns a middleware that refuses a query string of which a part cannot be read, and parameters
// that the operation of the OpenAPI document does not have. Either would be left out otherwise: a filter
// that is left out answers more than was asked for, and a mistyped dry_run acts. Routes that the document
// does not have pass.
func StrictQuery(spec []byte) (gin.HandlerFunc, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	known := map[string][]string{} // by method and path
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			names := []string{}
			for _, p := range slices.Concat(item.Parameters, operation.Parameters) {
				if p.Value.In == openapi3.ParameterInQuery {
					names = append(names, p.Value.Name)
				}
			}
			known[method+" "+path] = names
		}
	}
	return func(c *gin.Context) {
		if c.Request.URL.RawQuery == "" {
			c.Next()
			return
		}
		given, err := url.ParseQuery(c.Request.URL.RawQuery)
		if err != nil {
			Fail(c, problem.Invalid("", "the query string cannot be read: %s", err))
			return
		}
		names, documented := known[c.Request.Method+" "+ginParam.ReplaceAllString(c.FullPath(), "{$1}")]
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if documented && !slices.Contains(names, name) {
				Fail(c, unknownParameter(name, names))
				return
			}
		}
		c.Next()
	}, nil
}

func unknownParameter(name string, known []string) error {
	if len(name) > maxEcho {
		name = name[:maxEcho]
	}
	name = strings.ToValidUTF8(name, "\uFFFD")
	if len(known) == 0 {
		return problem.Invalid(name, "there is no parameter %q; this takes none", name)
	}
	return problem.Invalid(name, "there is no parameter %q; there are: %s", name, strings.Join(known, ", "))
}
