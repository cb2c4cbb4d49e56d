package httpx

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/gin-gonic/gin"

	"holdfast/internal/problem"
)

var ginParam = regexp.MustCompile(`:([A-Za-z_][A-Za-z0-9_]*)`)

// unsupported finds the name of a property that the schema does not have; the library says it nowhere else.
var unsupported = regexp.MustCompile(`^property "(.*)" is unsupported$`)

// ValidateSpec returns a middleware that checks each request against its operation in the OpenAPI
// document, so that the published contract and what is enforced cannot differ. Routes that the
// document does not have pass. The first fault is answered as a problem that names the field.
func ValidateSpec(spec []byte) (gin.HandlerFunc, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		// The body goes on as it came; setting defaults would write it anew and hide what follows it.
		SkipSettingDefaults: true,
	}
	withoutBody := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true, ExcludeRequestBody: true}
	return func(c *gin.Context) {
		item := doc.Paths.Find(ginParam.ReplaceAllString(c.FullPath(), "{$1}"))
		if item == nil || item.GetOperation(c.Request.Method) == nil {
			c.Next()
			return
		}
		options := options
		if body := item.GetOperation(c.Request.Method).RequestBody; body != nil {
			wanted := bodyType(body.Value)
			if c.Request.ContentLength != 0 {
				if t, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || t != wanted {
					Fail(c, problem.Common.New(problem.UnsupportedMedia, "send the body as %s", wanted).At("Content-Type"))
					return
				}
				c.Request.Header.Set("Content-Type", wanted) // names of types know no case; the library does
			}
			if wanted != jsonType {
				options = withoutBody // read by the handler as it comes in, which says what is wrong with which part
			}
		}
		params := make(map[string]string, len(c.Params))
		for _, p := range c.Params {
			params[p.Key] = p.Value
		}
		err := openapi3filter.ValidateRequest(c, &openapi3filter.RequestValidationInput{
			Request: c.Request, PathParams: params, Options: options,
			Route: &routers.Route{Spec: doc, PathItem: item, Method: c.Request.Method, Operation: item.GetOperation(c.Request.Method)},
		})
		if err != nil {
			Fail(c, specProblem(c, err))
			return
		}
		c.Next()
	}, nil
}

const jsonType = "application/json"

// bodyType is the one media type that an operation takes its body in.
func bodyType(body *openapi3.RequestBody) string {
	if body.Content[jsonType] == nil {
		for t := range body.Content {
			return t
		}
	}
	return jsonType
}

func specProblem(c *gin.Context, err error) error {
	var request *openapi3filter.RequestError
	var schema *openapi3.SchemaError
	if tooLarge(err) {
		return err
	}
	if !errors.As(err, &request) {
		return problem.Invalid("", "%s", err)
	}
	inBody := request.Parameter == nil
	switch {
	case inBody && !strings.HasPrefix(c.GetHeader("Content-Type"), "application/json") && c.Request.Method != http.MethodGet:
		return problem.Common.New(problem.UnsupportedMedia, "send the body as application/json").At("Content-Type")
	case errors.As(err, &schema) && inBody:
		pointer := schema.JSONPointer()
		if m := unsupported.FindStringSubmatch(schema.Reason); m != nil {
			pointer = append(pointer, m[1]) // the pointer names the object that has it
		}
		return problem.Invalid(fieldPath(pointer), "%s", schema.Reason)
	case errors.As(err, &schema):
		return problem.Invalid(request.Parameter.Name, "%s", schema.Reason)
	case !inBody:
		return problem.Invalid(request.Parameter.Name, "%s", cause(request))
	}
	return problem.Invalid("", "the body is not valid JSON: %s", cause(request))
}

func cause(request *openapi3filter.RequestError) string {
	var parse *openapi3filter.ParseError
	if errors.As(request.Err, &parse) && parse.RootCause() != nil {
		return parse.RootCause().Error()
	}
	if request.Err != nil {
		return request.Err.Error()
	}
	return request.Reason
}

// fieldPath writes a JSON pointer as people do: lines[0].quantity.
func fieldPath(pointer []string) string {
	var b strings.Builder
	for _, part := range pointer {
		if _, err := strconv.Atoi(part); err == nil {
			b.WriteString("[" + part + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}
