package order_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
)

func TestParseNumber(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"HF-104233", "hf-104233", "104233"} {
		number, ok := order.ParseNumber(text)
		require.True(t, ok, text)
		require.Equal(t, "HF-104233", number, text)
	}
	for _, text := range []string{
		"", "HF-", "HF104233", "HF-10423", "HF-004233", "HF-104233 ", "HF-１０４２３３", "XX-104233", "HF-12345678901234567890",
	} {
		_, ok := order.ParseNumber(text)
		require.False(t, ok, "%q", text)
	}
}
