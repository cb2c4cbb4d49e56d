package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	const enough = `mode: atomic
holdfast/internal/order/state.go:1.1,2.2 8 3
holdfast/internal/order/state.go:3.1,4.2 2 0
holdfast/workflows/order.go:1.1,2.2 9 0
holdfast/workflows/order.go:1.1,2.2 9 1
holdfast/api/orderapi/api.gen.go:1.1,2.2 900 0
holdfast/internal/outbox/relay.go:1.1,2.2 5 1
`
	var out bytes.Buffer
	found, err := check(strings.NewReader(enough), &out)
	require.NoError(t, err)
	require.Regexp(t, `domain +80\.0 % +8 of 10 statements`, out.String())
	require.Regexp(t, `application +100\.0 % +9 of 9 statements`, out.String(), "each block once")

	_, err = check(strings.NewReader(strings.Replace(enough, "2.2 8 3", "2.2 7 3", 1)), &out)
	require.ErrorContains(t, err, "domain is covered by 77.8 %, below 80 %")
	_, err = check(strings.NewReader("mode: atomic\nholdfast/workflows/order.go:1.1,2.2 9 1\n"), &out)
	require.ErrorContains(t, err, "no code of the part domain")
	_, err = check(strings.NewReader("what is this\n"), &out)
	require.ErrorContains(t, err, "not a line of a profile")

	require.Contains(t, badge(found), "coverage: domain 80 % · application 100 % · messaging 100 %")
}

// TestPartsExist: a folder that was renamed does not leave its part silently.
func TestPartsExist(t *testing.T) {
	t.Parallel()
	for _, part := range parts {
		for _, folder := range part.folders {
			require.DirExists(t, "../../"+folder)
			entries, err := os.ReadDir("../../" + folder)
			require.NoError(t, err)
			require.NotEmpty(t, entries)
		}
	}
}
