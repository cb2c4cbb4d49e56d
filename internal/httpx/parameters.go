package httpx

import (
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"

	"holdfast/internal/problem"
)

// keyHeader names a write, so that a repeat of it acts once.
const keyHeader = "Idempotency-Key"

// actsOnce marks an operation in an OpenAPI document whose repeat changes nothing by itself: a key adds nothing to it
// and takes nothing away.
const actsOnce = "x-acts-once"

// plainInteger is how an integer is written in a query, as it is in JSON: no plus sign, no leading zeros.
var plainInteger = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// operationParameters is what StrictParameters knows of an operation.
type operationParameters struct {
	integers, booleans []string // query parameters
	takesKey           bool
}

// StrictParameters returns a middleware that refuses what the generated code would read generously or not at all:
// integers and booleans of the query in another form than JSON's, and an Idempotency-Key on a write of the OpenAPI
// document that does not know it. The key would be ignored, and a caller who relies on it would do twice what they mean
// once. Routes that the document does not have pass.
func StrictParameters(spec []byte) (gin.HandlerFunc, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	known := map[string]operationParameters{} // by method and path
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			_, once := operation.Extensions[actsOnce]
			of := operationParameters{takesKey: once || method == http.MethodGet || method == http.MethodHead}
			for _, p := range slices.Concat(item.Parameters, operation.Parameters) {
				of.add(p.Value)
			}
			known[method+" "+path] = of
		}
	}
	return func(c *gin.Context) {
		of, documented := known[c.Request.Method+" "+ginParam.ReplaceAllString(c.FullPath(), "{$1}")]
		if documented {
			if err := of.check(c); err != nil {
				Fail(c, err)
				return
			}
		}
		c.Next()
	}, nil
}

func (o *operationParameters) add(p *openapi3.Parameter) {
	switch {
	case p.In == openapi3.ParameterInHeader && textproto.CanonicalMIMEHeaderKey(p.Name) == keyHeader:
		o.takesKey = true
	case p.In != openapi3.ParameterInQuery || p.Schema == nil || p.Schema.Value == nil:
	case p.Schema.Value.Type.Is("integer"):
		o.integers = append(o.integers, p.Name)
	case p.Schema.Value.Type.Is("boolean"):
		o.booleans = append(o.booleans, p.Name)
	}
}

func (o operationParameters) check(c *gin.Context) error {
	if _, given := c.Request.Header[keyHeader]; given && !o.takesKey {
		return problem.Invalid(keyHeader, "this operation takes no Idempotency-Key; send the request without one")
	}
	if c.Request.URL.RawQuery == "" {
		return nil
	}
	query := c.Request.URL.Query()
	for _, name := range o.integers {
		for _, text := range query[name] {
			if !plainInteger.MatchString(text) {
				return problem.Invalid(name, "%s is a whole number in plain digits, as in 12", name)
			}
		}
	}
	for _, name := range o.booleans {
		for _, text := range query[name] {
			if text != "true" && text != "false" {
				return problem.Invalid(name, "%s is true or false", name)
			}
		}
	}
	return nil
}
