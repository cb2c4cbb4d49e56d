package inventory_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// badRequest is a request with one fault.
type badRequest struct {
	name    string
	field   string // that the answer must name; "" if it cannot name one
	request sending
}

// badParameters returns requests with a fault in path, query or headers.
func (o *operation) badParameters() (faults []badRequest) {
	for _, ref := range o.parameters {
		p := ref.Value
		for _, raw := range badTexts(p) {
			r := o.good()
			switch p.In {
			case openapi3.ParameterInPath:
				if raw == "" || strings.Contains(raw, "&") {
					continue // another route, or no fault there
				}
				r.path = strings.Replace(r.path, o.params[p.Name], raw, 1)
			case openapi3.ParameterInQuery:
				r.query = p.Name + "=" + raw
			case openapi3.ParameterInHeader:
				text, err := url.QueryUnescape(raw)
				if err != nil || strings.Contains(text, "\x00") || strings.Contains(raw, "&") || text == "" {
					continue // net/http cannot send such a header, or an empty header counts as none
				}
				r.header.Set(p.Name, text)
			}
			about := fmt.Sprintf("%s %s is %.80q", p.In, p.Name, raw)
			faults = append(faults, badRequest{about, fieldOfParameter(p), r})
		}
		if p.In == openapi3.ParameterInHeader {
			r := o.good()
			r.header[http.CanonicalHeaderKey(p.Name)] = []string{"one", "two"}
			faults = append(faults, badRequest{p.Name + " twice", p.Name, r})
		}
	}
	for _, name := range []string{"dryrun", strings.Repeat("é", 40)} {
		r := o.good()
		r.query = strings.Trim(r.query+"&"+url.QueryEscape(name)+"=true", "&")
		field := strings.ToValidUTF8(name[:min(64, len(name))], "\uFFFD")
		faults = append(faults, badRequest{"an unknown parameter", field, r})
	}
	return faults
}

// fieldOfParameter returns the field that the answer must name. The actor has the same name in the header and in the
// body.
func fieldOfParameter(p *openapi3.Parameter) string {
	if p.Name == "X-Actor" {
		return "actor"
	}
	return p.Name
}

// badTexts returns escaped texts that are not valid for a parameter.
func badTexts(p *openapi3.Parameter) []string {
	schema := p.Schema.Value
	switch {
	case schema.Type.Is("array"):
		return []string{
			"", "x", uuid.NewString() + ",", uuid.NewString() + "&" + p.Name + "=" + uuid.NewString(), "%00",
			strings.TrimSuffix(strings.Repeat(uuid.NewString()+",", int(*schema.MaxItems)+1), ","),
		}
	case schema.Type.Is("integer"):
		return []string{
			"", "abc", "1.5", "-1",
			fmt.Sprint(int64(*schema.Min) - 1), fmt.Sprint(int64(*schema.Max) + 1),
			"99999999999999999999", "-99999999999999999999",
			"1e3", "%00", "1&" + p.Name + "=2",
		}
	case schema.Type.Is("boolean"):
		return []string{"", "maybe", "2", "%00"}
	case schema.Format == "uuid":
		return []string{
			"x", "%00",
			"0198c0de-0000-7000-8000-00000000000",
			"0198c0de-0000-7000-8000-0000000000010",
			"0198c0de-0000-7000-8000-00000000000g",
			strings.Repeat("a", 5000),
		}
	case p.Name == "If-Match":
		return []string{"garbage", "7", `W/`, `"1`, "%FF", strings.Repeat("a", 5000)}
	}
	texts := []string{"%00", "%FF", "a%00b", strings.Repeat("a", 5000)}
	if schema.MaxLength != nil {
		texts = append(texts, strings.Repeat("a", int(*schema.MaxLength)+1))
	}
	if schema.Pattern != "" {
		texts = append(texts, "UPPER", "-a", "a_b", "a%20b", strings.Repeat("a", 65))
	}
	if p.Name == "cursor" {
		texts = append(texts, "garbage", "AAAA", "%20", "1&cursor=2", uuid.NewString())
	}
	return texts
}

// badBodies returns requests whose body is at fault as a whole.
func (o *operation) badBodies() (faults []badRequest) {
	schema, contentType := o.body()
	if contentType == "" {
		return nil
	}
	add := func(name, contentType string, body []byte) {
		r := o.good()
		r.contentType, r.body = contentType, body
		faults = append(faults, badRequest{name: name, request: r})
	}

	good := o.good().body
	for _, other := range []string{
		"", "text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense;;",
	} {
		add("content type "+other, other, good)
	}
	if !schema.Type.Is("object") {
		for _, file := range []string{
			"", "\xff\xfe", "\x00",
			"product_id\n",
			"product_id,location,quantity,colour\n",
			"product_id,location,quantity,quantity\n",
			`{"a":1}`,
		} {
			add(fmt.Sprintf("file %q", file), contentType, []byte(file))
		}
		return faults
	}
	for _, text := range []string{
		"{", "}", "[]", `"x"`, "7", "true", "{}{}", "\x00", "\xff",
		string(good) + "x", string(good[:len(good)-1]), string(good) + string(good),
	} {
		add(fmt.Sprintf("body %.60q", text), contentType, []byte(text))
	}
	if o.spec.RequestBody.Value.Required {
		add("no body", contentType, nil)
	}
	if len(schema.Required) > 0 {
		add("null", contentType, []byte("null"))
		add("nothing in it", contentType, []byte("{}"))
	}
	add("too large", contentType, []byte(`{"actor":"`+strings.Repeat("a", 2<<20)+`"}`))
	add("too large behind its end", contentType, append(slices.Clone(good), strings.Repeat(" ", 2<<20)...))
	return faults
}

// badProperties returns requests with a fault in a property of the body.
func (o *operation) badProperties() (faults []badRequest) {
	schema, contentType := o.body()
	if contentType == "" || !schema.Type.Is("object") {
		return nil
	}
	add := func(name, field string, change func(body map[string]any)) {
		var body map[string]any
		r := o.good()
		if err := json.Unmarshal(r.body, &body); err != nil {
			panic(err)
		}
		change(body)
		r.body = encode(body)
		faults = append(faults, badRequest{name, field, r})
	}
	o.walk(schema, "", func(body map[string]any) map[string]any { return body }, add)
	return faults
}

// walk calls add for every fault of an object's properties. The function at finds the object in a body, and prefix is
// the path of the object.
func (o *operation) walk(
	schema *openapi3.Schema,
	prefix string, at func(map[string]any) map[string]any,
	add func(name, field string, change func(map[string]any)),
) {
	add(prefix+"no_such_property", prefix+"no_such_property", func(b map[string]any) { at(b)["no_such_property"] = 1 })
	add(prefix+`a\u0000b`, "", func(b map[string]any) { at(b)["a\x00b"] = 1 })
	for name, ref := range schema.Properties {
		property, field := ref.Value, prefix+name
		required := slices.Contains(schema.Required, name)
		if required {
			add(field+" is missing", field, func(b map[string]any) { delete(at(b), name) })
		}
		for _, raw := range badValues(property, required) {
			add(field+" is "+raw[:min(len(raw), 60)], fieldOf(field, property, raw), func(b map[string]any) {
				at(b)[name] = json.RawMessage(raw)
				if o.id == "adjustStock" && name == "quantity" {
					delete(b, "delta") // a request has either quantity or delta
				}
			})
		}

		if !property.Type.Is("array") {
			continue
		}
		if property.MaxItems != nil {
			add(field+" has too many", field, func(b map[string]any) {
				one := at(b)[name].([]any)[0].(map[string]any)
				delete(one, "line_no")
				at(b)[name] = slices.Repeat([]any{one}, int(*property.MaxItems)+1)
			})
		}
		if items := property.Items.Value; items.Type.Is("object") {
			o.walk(items, field+"[0].", func(b map[string]any) map[string]any {
				return at(b)[name].([]any)[0].(map[string]any)
			}, add)
		}
	}
}

// fieldOf returns the field that the answer must name for a value of a property.
func fieldOf(field string, property *openapi3.Schema, raw string) string {
	if property.Type.Is("array") && strings.HasPrefix(raw, "[") && raw != "[]" {
		return field + "[0]"
	}
	return field
}

// badValues returns JSON values that are not valid for a property.
func badValues(schema *openapi3.Schema, required bool) (raw []string) {
	if required {
		raw = append(raw, "null")
	}
	switch {
	case schema.Type.Is("array"):
		raw = append(raw, "{}", `"x"`, "5", "true", `["x"]`, "[5]", "[[]]")
		if schema.MinItems > 0 {
			raw = append(raw, "[]")
		}
	case schema.Type.Is("boolean"):
		raw = append(raw, "5", `"true"`, "[]", "{}", "1.5")
	case schema.Type.Is("integer"):
		raw = append(raw, `"1"`, "1.5", "true", "[]", "{}",
			"1e30", "-1e30", "99999999999999999999", "-99999999999999999999")
		if schema.Min != nil {
			raw = append(raw, fmt.Sprint(int64(*schema.Min)-1), "-9223372036854775808")
		}
		if schema.Max != nil && *schema.Max < 1<<63 { // beyond are the numbers above, which no int64 holds
			raw = append(raw, fmt.Sprint(int64(*schema.Max)+1), "9223372036854775807")
		}
	default:
		raw = append(raw, "5", "true", "[]", "{}", `"a\u0000b"`)
		switch {
		case schema.Format == "uuid":
			raw = append(raw, `"x"`, `"0198c0de-0000-7000-8000-00000000000"`, `"0198c0de-0000-7000-8000-00000000000g"`)
		case schema.Format == "date-time":
			raw = append(raw, `"tomorrow"`, `"2020-01-01"`, `"9999-01-01T00:00:00Z"`)
		case len(schema.Enum) > 0:
			raw = append(raw, `"no-such"`, `"PENDING"`)
		}
		if schema.MinLength > 0 {
			raw = append(raw, `""`)
		}
		limit := 5000
		if schema.MaxLength != nil {
			limit = int(*schema.MaxLength)
		}
		raw = append(raw, `"`+strings.Repeat("a", limit+1)+`"`, `"`+strings.Repeat("é", limit+1)+`"`)
	}
	return raw
}
