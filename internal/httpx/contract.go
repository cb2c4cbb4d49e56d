package httpx

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"holdfast/internal/exactid"
	"holdfast/internal/problem"
)

// Contract checks requests against an OpenAPI document. It accepts all requests to routes that are not in the document.
type Contract struct {
	operations  map[string]*operation // by method and route, as in "GET /api/orders/:order_id"
	largeBodies map[string]int64      // by route: the limit of the body, in bytes
}

// Extensions of an OpenAPI document, each of an operation.
const (
	extMaxBody  = "x-max-body"  // the operation's own limit of the body, in bytes
	extActsOnce = "x-acts-once" // the operation is idempotent: a repeat changes nothing, with or without a key
)

// extCode is an extension of a schema of a number: the code of the refusal if the number is out of its range.
const extCode = "x-code"

// keyHeader is the header with which a client identifies a write, so that a repeat of the write acts once.
const keyHeader = "Idempotency-Key"

// notInContract is the answer to a value for whose fault this package has no words of its own.
const notInContract = "the value does not match the API's contract; see /docs"

type operation struct {
	parameters []parameter
	query      []string // the names of the parameters in the query
	body       *requestBody

	// acceptsKey means that a request may have an Idempotency-Key, because the operation uses the key or is idempotent
	// without it. A key on any other operation is refused.
	acceptsKey bool
}

type requestBody struct {
	mediaType string // the only one that the operation accepts
	required  bool
	schema    *openapi3.Schema
}

type parameter struct {
	name, in string
	required bool
	schema   *openapi3.Schema
}

// ReadContract reads an OpenAPI document.
func ReadContract(spec []byte) (*Contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}

	contract := &Contract{operations: map[string]*operation{}, largeBodies: map[string]int64{}}
	for path, item := range doc.Paths.Map() {
		route := Route(path)
		for method, op := range item.Operations() {
			contract.operations[method+" "+route] = newOperation(method, item, op)

			limit, given := op.Extensions[extMaxBody]
			if !given {
				continue
			}
			size, ok := limit.(float64)
			if !ok || size < 1 {
				return nil, fmt.Errorf("%s %s: %s must be a number of bytes, not %v", method, path, extMaxBody, limit)
			}
			contract.largeBodies[route] = int64(size)
		}
	}
	return contract, nil
}

func newOperation(method string, item *openapi3.PathItem, op *openapi3.Operation) *operation {
	_, actsOnce := op.Extensions[extActsOnce]
	o := &operation{acceptsKey: actsOnce || method == http.MethodGet || method == http.MethodHead}

	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		o.parameters = append(o.parameters, parameter{
			name:     p.Value.Name,
			in:       p.Value.In,
			required: p.Value.Required,
			schema:   p.Value.Schema.Value,
		})
		switch {
		case p.Value.In == openapi3.ParameterInQuery:
			o.query = append(o.query, p.Value.Name)
		case p.Value.In == openapi3.ParameterInHeader && http.CanonicalHeaderKey(p.Value.Name) == keyHeader:
			o.acceptsKey = true
		}
	}

	if op.RequestBody != nil {
		for mediaType, content := range op.RequestBody.Value.Content { // the contracts have one each
			o.body = &requestBody{mediaType, op.RequestBody.Value.Required, content.Schema.Value}
		}
	}
	return o
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// Route returns gin's form of a path in an OpenAPI document: /api/orders/:order_id for /api/orders/{order_id}.
func Route(path string) string { return pathParameter.ReplaceAllString(path, ":$1") }

// LargeBodies returns the limits of the routes that have their own limit of the body, in bytes, for
// Options.LargeBodies.
func (c *Contract) LargeBodies() map[string]int64 { return c.largeBodies }

func (c *Contract) operation(g *gin.Context) *operation {
	return c.operations[g.Request.Method+" "+g.FullPath()]
}

// Parameters is a middleware that refuses a query parameter that the operation does not have, and a value that does not
// have its type. An id, an integer and a boolean can each be written in one way only. Parameters also refuses an
// Idempotency-Key on a write that does not use it: a client that relies on the key would repeat the write and act
// twice.
func (c *Contract) Parameters(g *gin.Context) {
	if op := c.operation(g); op != nil {
		if err := op.checkParameters(g, false); err != nil {
			Fail(g, err)
			return
		}
	}
	g.Next()
}

// Validate is a middleware that checks what Parameters checks, and also checks parameters and a JSON body against their
// schemas. It leaves bodies of other types to the handler, which reads them as a stream.
func (c *Contract) Validate(g *gin.Context) {
	if op := c.operation(g); op != nil {
		err := op.checkParameters(g, true)
		if err == nil && op.body != nil {
			err = op.body.check(g)
		}
		if err != nil {
			Fail(g, err)
			return
		}
	}
	g.Next()
}

// checkParameters checks the request's parameters and key. With againstSchema it also checks each value against the
// parameter's schema, as Validate does.
func (o *operation) checkParameters(g *gin.Context, againstSchema bool) error {
	if _, given := g.Request.Header[keyHeader]; given && !o.acceptsKey {
		return problem.Invalid(keyHeader, "this operation does not accept an Idempotency-Key; send the request without one")
	}

	var query url.Values
	if g.Request.URL.RawQuery != "" {
		query = g.Request.URL.Query() // ignores errors; the middleware oneMeaning has refused a query with errors
		if err := unknownParameter(query, o.query); err != nil {
			return err
		}
	}

	for _, p := range o.parameters {
		text, given := p.text(g, query)
		if !given {
			if p.required {
				return problem.Invalid(p.name, "%s is required", p.name)
			}
			continue
		}

		value, wanted := parse(text, p.schema)
		if wanted != "" {
			return problem.Invalid(p.name, "%s: expected %s", p.name, wanted)
		}
		if againstSchema {
			if err := violation(value, p.schema, p.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// text returns the parameter's text in a request, and whether the request has the parameter.
func (p parameter) text(g *gin.Context, query url.Values) (string, bool) {
	switch p.in {
	case openapi3.ParameterInPath:
		return g.Param(p.name), true
	case openapi3.ParameterInQuery:
		return query.Get(p.name), query.Has(p.name)
	default:
		values := g.Request.Header[http.CanonicalHeaderKey(p.name)]
		return strings.Join(values, ","), len(values) > 0
	}
}

// integer is the grammar of integers in a path or a query.
var integer = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,18})$`)

// parse reads a parameter's text by its schema's type. If the text is not of that type, wanted describes the type.
func parse(text string, schema *openapi3.Schema) (value any, wanted string) {
	switch {
	case schema.Type.Is(openapi3.TypeInteger):
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !integer.MatchString(text) {
			return nil, "an integer, written in digits"
		}
		return float64(n), ""
	case schema.Type.Is(openapi3.TypeBoolean):
		if text != "true" && text != "false" {
			return nil, "true or false"
		}
		return text == "true", ""
	case schema.Type.Is(openapi3.TypeArray):
		list := []any{}
		for element := range strings.SplitSeq(text, ",") {
			value, wanted := parse(element, schema.Items.Value)
			if wanted != "" {
				return nil, "a list separated by commas, each element " + wanted
			}
			list = append(list, value)
		}
		return list, ""
	case schema.Format == "uuid":
		if _, err := exactid.Parse(text); err != nil {
			return nil, exactid.Rule
		}
	}
	return text, ""
}

// check reads the request's body and checks it against the schema. DecodeJSON later uses the same bytes.
func (b *requestBody) check(g *gin.Context) error {
	if b.mediaType != jsonType {
		return wantType(g, b.mediaType)
	}
	raw, err := readJSON(g, b.required)
	if err != nil || raw == nil {
		return err
	}
	return b.validate(raw)
}

// CheckBody checks a JSON body that ParseJSON has accepted against the schema of an operation, as Validate does.
func (c *Contract) CheckBody(method, route string, raw []byte) error {
	op := c.operations[method+" "+route]
	if op == nil || op.body == nil {
		return fmt.Errorf("the contract has no body for %s %s", method, route)
	}
	return op.body.validate(raw)
}

func (b *requestBody) validate(raw []byte) error {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return syntaxProblem(err, false) // this cannot happen: ParseJSON has accepted raw
	}
	return violation(value, b.schema, "")
}

// violation checks a value against a schema and returns the first violation as a problem, or nil. field is the name of
// a parameter, or empty for a body: then the problem names the field of the body.
func violation(value any, schema *openapi3.Schema, field string) error {
	err := schema.VisitJSON(value, openapi3.EnableFormatValidation())
	var wrong *openapi3.SchemaError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &wrong):
		return problem.Invalid(field, notInContract)
	}

	for inner := wrong; wrong.SchemaField == "allOf" && errors.As(wrong.Origin, &inner); {
		wrong = inner // a reference with a description of its own
	}
	pointer := wrong.JSONPointer()
	if m := unsupported.FindStringSubmatch(wrong.Reason); m != nil && wrong.SchemaField == "properties" {
		pointer = append(pointer, m[1]) // the library's pointer names the object with the unknown property
	}
	if field == "" {
		field = fieldPath(pointer)
	}
	return problem.Common.New(codeOf(wrong), "%s", requirement(wrong, pointer)).At(field)
}

// codeOf returns the code of a violation.
func codeOf(wrong *openapi3.SchemaError) problem.Code {
	code, given := wrong.Schema.Extensions[extCode].(string)
	if given && (wrong.SchemaField == "minimum" || wrong.SchemaField == "maximum") {
		return problem.Code(code)
	}
	return problem.InvalidInput
}

// unsupported finds the name of a property that the schema does not have. The library gives the name only in the text
// of its error.
var unsupported = regexp.MustCompile(`^property "(.*)" is unsupported$`)

// requirement says what the violated part of a schema requires, in this package's own words, because the library's are
// not for clients. For a range with two bounds it names both, so that a value below and a value above get the same
// answer. A schema with a pattern has the words in its extension x-rule.
func requirement(wrong *openapi3.SchemaError, pointer []string) string {
	s := wrong.Schema
	switch wrong.SchemaField {
	case "required":
		return pointer[len(pointer)-1] + " is required"
	case "properties":
		return fmt.Sprintf("there is no field %q here", echo(pointer[len(pointer)-1]))
	case "type", "nullable":
		return "expected " + typeWords(s)
	case "minimum", "maximum":
		return "it must be " + inRange(s.Min, s.Max)
	case "minLength", "maxLength":
		return "its length in characters must be " + inCountRange(s.MinLength, s.MaxLength)
	case "minItems", "maxItems":
		return "the number of elements must be " + inCountRange(s.MinItems, s.MaxItems)
	case "minProperties", "maxProperties":
		return "the number of fields must be " + inCountRange(s.MinProps, s.MaxProps)
	case "enum":
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			values[i] = fmt.Sprint(v)
		}
		return "expected one of: " + strings.Join(values, ", ")
	case "format":
		if s.Type.Is(openapi3.TypeInteger) {
			return "expected " + wantInteger
		}
		if s.Format == "date-time" {
			return "expected a time as in 2026-01-31T12:00:00Z (RFC 3339)"
		}
		return "expected " + exactid.Rule
	case "pattern":
		if words, ok := s.Extensions["x-rule"].(string); ok {
			return "expected " + words
		}
	}
	return notInContract
}

func typeWords(s *openapi3.Schema) string {
	switch {
	case s.Type.Is(openapi3.TypeInteger):
		return wantInteger
	case s.Type.Is(openapi3.TypeNumber):
		return "a number"
	case s.Type.Is(openapi3.TypeBoolean):
		return "true or false"
	case s.Type.Is(openapi3.TypeArray):
		return "an array"
	case s.Type.Is(openapi3.TypeObject):
		return "an object"
	case s.Format == "uuid":
		return exactid.Rule
	}
	return "a string"
}

// inRange describes a range with one or two bounds, as the end of "it must be".
func inRange(low, high *float64) string {
	format := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	switch {
	case low == nil:
		return "at most " + format(*high)
	case high == nil:
		return "at least " + format(*low)
	}
	return "between " + format(*low) + " and " + format(*high)
}

func inCountRange(low uint64, high *uint64) string {
	from := float64(low)
	if high == nil {
		return inRange(&from, nil)
	}
	to := float64(*high)
	return inRange(&from, &to)
}
