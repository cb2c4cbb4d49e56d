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
	text := Encode(want)
	require.NotContains(t, text, "=", "it stands in a URL as it is")
	got, err := Decode[position](text)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, text := range map[string]string{
		"no base64": "%%%", "no JSON": encode("x"), "cut off": encode(`{"i":`), "another list's": encode(`{"l":1}`),
		"another type": encode(`{"i":7}`), "trailing": encode(`{}{}`), "empty": "", "endless": strings.Repeat("e", 1<<16),
		"an array": encode(`[]`), "another case": encode(`{"A":"2026-02-03T04:05:06Z","i":"90806882-983d-5164-87bd-3b84bc6ad730"}`),
		"another form of an id": encode(`{"a":"2026-02-03T04:05:06Z","i":"urn:uuid:90806882-983d-5164-87bd-3b84bc6ad730"}`),
	} {
		_, err := Decode[position](text)
		require.Error(t, err, name)
	}
}
