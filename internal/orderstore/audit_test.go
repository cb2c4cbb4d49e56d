package orderstore_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/orderstore"
)

// TestAuditReadsOneMoment: an audit that has begun does not see what happens meanwhile.
func TestAuditReadsOneMoment(t *testing.T) {
	t.Parallel()
	s, before, after := orderstore.New(open(t)), uuid.New(), uuid.New()
	recordAll(t, s, first(before, strings.Repeat("ab", 32)))
	begun, err := s.AuditSnapshot(t.Context())
	require.NoError(t, err)
	defer begun.Close(t.Context())

	recordAll(t, s, first(after, strings.Repeat("cd", 32)))
	ids, err := begun.OrderIDs(t.Context(), uuid.Nil, 10)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{before}, ids)
	known, err := begun.Known(t.Context(), []uuid.UUID{before, after}, nil)
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID]bool{before: true}, known)
}
