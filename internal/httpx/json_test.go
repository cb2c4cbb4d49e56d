package httpx

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/problem"
)

type sampleLine struct {
	ProductID uuid.UUID `json:"product_id"`
	Quantity  int64     `json:"quantity"`
}

type sample struct {
	Lines       []sampleLine      `json:"lines"`
	Count       *int              `json:"count,omitempty"`
	At          time.Time         `json:"at,omitzero"`
	Description string            `json:"description,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Active      bool              `json:"active,omitempty"`
}

// TestOneReading: a body with two meanings, or with none, is refused; the problem names the field and uses this
// package's own words.
func TestOneReading(t *testing.T) {
	t.Parallel()
	const id = "90806882-983d-5164-87bd-3b84bc6ad730"
	digits := strings.ReplaceAll(id, "-", "")
	for _, c := range []struct{ body, field, detail string }{
		{`{}`, "", ""},
		{
			` {"lines":[{"product_id":"` + id + `","quantity":1}],` +
				`"at":"2026-01-31T12:00:00Z","count":-3,"active":true} `,
			"", "",
		},
		{`{"metadata":{"a":"\ud83c\udf81","b":"Grüße \/ \\ \""},"description":"one\n\ttwo"}`, "", ""},

		{``, "", "the body is empty"},
		{`  `, "", "the body is empty"},
		{`{"lines":[`, "", "ends in the middle"},
		{`{"metadata":{"a":"`, "", "ends in the middle"},
		{`{} {}`, "", "nothing after it"},
		{`{} x`, "", "nothing after it"},
		{`{"count":1,}`, "", "not valid JSON from byte 10"},
		{`{'count':1}`, "", "not valid JSON from byte 1"},
		{"\xef\xbb\xbf{}", "", "not valid JSON from byte 0"},
		{`{"count":01}`, "", "not valid JSON"},
		{`{"count":NaN}`, "count", "not valid JSON"},
		{`null`, "", "null is not a value"},
		{`{"lines":null}`, "lines", "null is not a value"},
		{`{"lines":[{"quantity":null}]}`, "lines[0].quantity", "null is not a value"},

		{`{"count":1,"count":1}`, "count", `"count" is given twice`},
		{`{"count":1,"\u0063ount":2}`, "count", `"count" is given twice`},
		{`{"metadata":{"a":"\u0000"},"metadata":{}}`, "metadata.a", "U+0000"},
		{`{"metadata":{"a":"1"},"metadata":{}}`, "metadata", "given twice"},
		{`{"metadata":{"a":"1","a":"2"}}`, "metadata.a", "given twice"},
		{`{"lines":[{"quantity":1},{"quantity":1,"quantity":1}]}`, "lines[1].quantity", "given twice"},
		{`{"COUNT":1}`, "COUNT", `there is no field "COUNT"`},
		{`{"count":1,"Count":2}`, "Count", `there is no field "Count"`},
		{`{"lines":[{"Quantity":1}]}`, "lines[0].Quantity", "there is no field"},
		{`{"extra":1}`, "extra", "there is no field"},

		{"{\"metadata\":{\"a\":\"\xff\"}}", "metadata.a", "not UTF-8"},
		{"{\"metadata\":{\"a\xff\":\"b\"}}", "metadata", "not UTF-8"},
		{"{\"metadata\":{\"a\":\"\xed\xa0\x80\"}}", "metadata.a", "not UTF-8"},
		{`{"metadata":{"a":"\ud800"}}`, "metadata.a", "surrogate"},
		{`{"metadata":{"a":"\udc00\ud800"}}`, "metadata.a", "surrogate"},
		{`{"metadata":{"\ud800":"a"}}`, "metadata", "surrogate"},
		{`{"metadata":{"a":"b\u0000"}}`, "metadata.a", "U+0000"},
		{`{"metadata":{"a\u0000":"b"}}`, "metadata.a�", "U+0000"},
		{`{"metadata":{"a":"b\u001b[2J"}}`, "metadata.a", "U+001B"},
		{"{\"metadata\":{\"a\":\"b\x7f\"}}", "metadata.a", "U+007F"},
		{`{"metadata":{"a":"line\nbreak"}}`, "metadata.a", "U+000A"},
		{"{\"metadata\":{\"a\":\"\u202egnp\"}}", "metadata.a", "U+202E"},
		{`{"metadata":{"a":"\u2066"}}`, "metadata.a", "U+2066"},
		{`{"description":"a\u0000"}`, "description", "U+0000"},
		{`{"description":"a\u202e"}`, "description", "U+202E"},

		{`{"count":1.0}`, "count", "expected an integer"},
		{`{"count":1e2}`, "count", "expected an integer"},
		{`{"count":1e400}`, "count", "out of range"},
		{`{"count":-1e400}`, "count", "out of range"},
		{`{"count":9223372036854775808}`, "count", "expected an integer"},
		{`{"lines":[{"quantity":9007199254740993.0}]}`, "lines[0].quantity", "expected an integer"},
		{`{"count":"1"}`, "count", "expected " + wantInteger + ", found a string"},
		{`{"lines":{}}`, "lines", "expected an array, found an object"},
		{`[]`, "", "expected an object, found an array"},
		{`{"active":1}`, "active", "expected true or false"},
		{`{"metadata":{"a":1}}`, "metadata.a", "expected a string, found another number"},
		{`{"at":"yesterday"}`, "at", "expected a time as in"},
		{`{"lines":[{"product_id":"x` + id + `y"}]}`, "lines[0].product_id", "expected a UUID as in"},
		{`{"lines":[{"product_id":"urn:uuid:` + id + `"}]}`, "lines[0].product_id", "expected a UUID as in"},
		{`{"lines":[{"product_id":"` + digits + `"}]}`, "lines[0].product_id", "expected a UUID as in"},
		{`{"lines":[{"product_id":7}]}`, "lines[0].product_id", "expected a UUID as in"},
		{strings.Repeat(`[`, 17) + strings.Repeat(`]`, 17), strings.Repeat("[0]", 16), "at most 16 deep"},
	} {
		raw := []byte(c.body)
		err := ParseJSON(raw)
		var read sample
		if err == nil {
			err = UnmarshalJSON(raw, &read)
		}
		require.Equal(t, c.body, string(raw), "the body is unchanged")
		if c.detail == "" {
			require.NoError(t, err, c.body)
			continue
		}
		var told *problem.Problem
		require.ErrorAs(t, err, &told, c.body)
		require.Equal(t, problem.InvalidInput, told.Code, c.body)
		require.Equal(t, c.field, told.Field, "%s: %s", c.body, told.Detail)
		require.Contains(t, told.Detail, c.detail, c.body)
	}
}

func TestIDsMayHaveCapitals(t *testing.T) {
	t.Parallel()
	var read sampleLine
	require.NoError(t, UnmarshalJSON([]byte(`{"product_id":"90806882-983D-5164-87BD-3B84BC6AD730"}`), &read))
	require.Equal(t, "90806882-983d-5164-87bd-3b84bc6ad730", read.ProductID.String())
}

func BenchmarkReading(b *testing.B) {
	raw := []byte(`{"lines":[{"product_id":"90806882-983d-5164-87bd-3b84bc6ad730","quantity":1},` +
		`{"product_id":"90806882-983d-5164-87bd-3b84bc6ad731","quantity":2}],` +
		`"count":3,"metadata":{"a":"b","c":"d"}}`)
	for b.Loop() {
		var read sample
		if ParseJSON(raw) != nil || UnmarshalJSON(raw, &read) != nil {
			b.Fatal("refused")
		}
	}
}
