package stock

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestTellsVersion names the requests that close their batch. Count and Introduce embed a request that closes it, and
// do not close it themselves.
func TestTellsVersion(t *testing.T) {
	t.Parallel()
	require.False(t, Reserve{}.TellsVersion())
	require.False(t, Confirm{}.TellsVersion())
	require.False(t, Release{}.TellsVersion())
	require.False(t, Expire{}.TellsVersion())
	require.False(t, Extend{}.TellsVersion())
	require.False(t, Return{}.TellsVersion())
	require.False(t, Count{}.TellsVersion())
	require.False(t, SetSellable{}.TellsVersion())
	require.False(t, Introduce{}.TellsVersion())
	require.False(t, PlaceBackorder{}.TellsVersion())
	require.False(t, CancelBackorder{}.TellsVersion())
	require.False(t, ExpireBackorder{}.TellsVersion())
	require.False(t, ExtendBackorder{}.TellsVersion())
	require.False(t, GrantWaiting{}.TellsVersion())
	require.False(t, AddIncoming{}.TellsVersion())
	require.False(t, ChangeIncoming{}.TellsVersion())
	require.False(t, CancelIncoming{}.TellsVersion())

	require.True(t, Receive{}.TellsVersion())
	require.True(t, ReceiveIncoming{}.TellsVersion())
	require.True(t, Adjust{}.TellsVersion())
	require.True(t, Transfer{}.TellsVersion())
	require.True(t, SetThreshold{}.TellsVersion())
	require.True(t, CreateItem{}.TellsVersion())
	require.True(t, DeleteItem{}.TellsVersion())
	require.True(t, NewNamed(Adjust{}, uuid.New(), nil, false, nil).TellsVersion())
	require.False(t, NewNamed(Return{}, uuid.New(), nil, false, nil).TellsVersion())
}
