package httpxtest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/httpx"
)

// FuzzBody fuzzes the reading of a body into T. It requires of every body that is accepted: the value written as JSON
// means the same as the body; and that JSON is accepted again, by check too, and read as the same value. check checks a
// body against its schema, and may be nil.
func FuzzBody[T any](f *testing.F, check func(raw []byte) error, seeds ...string) {
	f.Helper()
	seeds = append(seeds, `{}`, `[]`, `null`, `{"a":1,"a":2}`, `{"\u0061":"\ud800"}`,
		"{\"a\":\"\xff\"}", `{"a":"\u0000"}`, `{"a":1e400}`)
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	read := func(raw []byte) (value T, err error) {
		if err = httpx.ParseJSON(raw); err == nil && check != nil {
			err = check(raw)
		}
		if err == nil {
			err = httpx.UnmarshalJSON(raw, &value)
		}
		return value, err
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		value, err := read(bytes.Clone(raw))
		if err != nil {
			return
		}
		written, err := json.Marshal(value)
		require.NoError(t, err)
		require.Equal(t, said(t, raw), said(t, written), "what was checked: %s\nwhat is used: %s", raw, written)

		again, err := json.Marshal(withoutNull(decode(t, written))) // Go writes a missing slice or map as null
		require.NoError(t, err)
		second, err := read(again)
		require.NoError(t, err, "%s", again)
		twice, err := json.Marshal(second)
		require.NoError(t, err)
		require.JSONEq(t, string(written), string(twice))
	})
}

func decode(t *testing.T, raw []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out any
	require.NoError(t, d.Decode(&out))
	return out
}

func withoutNull(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if member == nil {
				delete(v, name)
				continue
			}
			v[name] = withoutNull(member)
		}
	case []any:
		for i := range v {
			v[i] = withoutNull(v[i])
		}
	}
	return value
}

// said returns the meaning of a document without its form: ids, times and integers in one form each, and no members
// that have the zero value of their type.
func said(t *testing.T, raw []byte) any {
	t.Helper()
	return meaning(decode(t, raw))
}

func meaning(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			member = meaning(member)
			if nothing(member) {
				delete(v, name)
				continue
			}
			v[name] = member
		}
	case []any:
		for i := range v {
			v[i] = meaning(v[i])
		}
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
	case string:
		if id, err := uuid.Parse(v); err == nil && len(v) == 36 {
			return id.String()
		}
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
	}
	return value
}

func nothing(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case int64:
		return v == 0
	case bool:
		return !v
	case string:
		return v == "" || v == uuid.Nil.String() || v == "0001-01-01T00:00:00Z"
	}
	return false
}
