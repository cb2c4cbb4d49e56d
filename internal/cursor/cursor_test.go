package cursor

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

type position struct {
	At time.Time `json:"a"`
	ID uuid.UUID `json:"i"`
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	want := position{time.Date(2026, 2, 3, 4, 5, 6, 789_000, time.UTC), uuid.New()}
	text := Encode("things", want)
	require.NotContains(t, text, "=", "a URL needs no escapes for it")
	got, err := Decode[position]("things", text)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = Decode[position]("others", text)
	require.ErrorIs(t, err, errOther)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	const (
		at = "2026-02-03T04:05:06Z"
		id = "90806882-983d-5164-87bd-3b84bc6ad730"
	)
	for name, text := range map[string]string{
		"no base64":             "%%%",
		"no JSON":               encode("x"),
		"cut off":               encode(`{"i":`),
		"another list's":        encode(`{"of":"things","at":{"l":1}}`),
		"no list":               encode(`{"i":"` + uuid.NewString() + `"}`),
		"another type":          encode(`{"of":"things","at":{"i":7}}`),
		"trailing":              encode(`{}{}`),
		"empty":                 "",
		"endless":               strings.Repeat("e", 1<<16),
		"an array":              encode(`[]`),
		"another case":          encode(`{"of":"things","at":{"A":"` + at + `","i":"` + id + `"}}`),
		"another form of an id": encode(`{"of":"things","at":{"a":"` + at + `","i":"urn:uuid:` + id + `"}}`),
	} {
		_, err := Decode[position]("things", text)
		require.Error(t, err, name)
	}
}
