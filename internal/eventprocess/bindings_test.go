package eventprocess_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/notification"
	"holdfast/internal/rabbitmq"
	"holdfast/inventory/backstop"
)

// TestQueuesGetWhatTheirConsumersKnow: a queue that is bound to single types has just those that its consumer handles.
func TestQueuesGetWhatTheirConsumersKnow(t *testing.T) {
	t.Parallel()
	for queue, types := range map[string][]string{
		rabbitmq.InventoryOrderEvents: backstop.Types(),
		rabbitmq.OrdersNotifications:  notification.Types(),
	} {
		all := rabbitmq.Platform().Queues
		at := slices.IndexFunc(all, func(q rabbitmq.Queue) bool { return q.Name == queue })
		require.GreaterOrEqual(t, at, 0, queue)
		var keys []string
		for _, b := range all[at].Bindings {
			require.Equal(t, rabbitmq.OrderEvents, b.Exchange)
			keys = append(keys, b.Key)
		}
		require.ElementsMatch(t, types, keys, queue)
	}
}
