package fault_test

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

// TestAMQP: a held message is not in the queue, a message whose confirm is held or lost is, and a lost confirm ends the
// connection.
func TestAMQP(t *testing.T) {
	t.Parallel()
	p := fault.NewAMQP(t, testenv.RabbitMQ(t))
	direct, err := amqp.Dial(testenv.RabbitMQ(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = direct.Close() })
	owner, err := direct.Channel()
	require.NoError(t, err)
	queue, err := owner.QueueDeclare("", false, false, true, false, nil)
	require.NoError(t, err)
	depth := func() int {
		q, err := owner.QueueDeclarePassive(queue.Name, false, false, true, false, nil)
		require.NoError(t, err)
		return q.Messages
	}

	conn, err := amqp.Dial(p.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	require.NoError(t, err)
	require.NoError(t, ch.Confirm(false))
	send := func() *amqp.DeferredConfirmation {
		c, err := ch.PublishWithDeferredConfirm("", queue.Name, false, false, amqp.Publishing{Body: []byte("x")})
		require.NoError(t, err)
		return c
	}
	require.True(t, send().Wait())
	require.Equal(t, 1, depth())

	hold := p.HoldPublishes(1)
	held := send()
	<-hold.Reached()
	require.Equal(t, 1, depth())
	hold.Release()
	require.True(t, held.Wait())

	unanswered := p.HoldConfirms(1)
	late := send()
	<-unanswered.Reached()
	require.Equal(t, 3, depth())
	select {
	case <-late.Done():
		require.Fail(t, "the confirm has passed")
	case <-time.After(20 * time.Millisecond):
	}
	unanswered.Release()
	require.True(t, late.Wait())

	lost := p.LoseConfirms(1)
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	unknown := send()
	require.False(t, unknown.Wait())
	require.NotNil(t, <-closed)
	require.Equal(t, 1, lost.Count())
	require.Equal(t, 4, depth())
}
