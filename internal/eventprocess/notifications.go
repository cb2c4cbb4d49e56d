package eventprocess

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/consumer"
	"holdfast/internal/notification"
	"holdfast/internal/orderstore"
	"holdfast/internal/rabbitmq"
	"holdfast/internal/service"
)

// newNotifications returns the parts that tell customers: a consumer that notes of what, and a dispatcher that sends.
func newNotifications(
	cfg Config, env service.Env, orders *pgxpool.Pool, options consumer.Options,
) ([]service.Part, *notification.Store, error) {
	renderer, err := notification.NewRenderer(cfg.Notify)
	if err != nil {
		return nil, nil, err
	}
	var sender notification.Sender = notification.NewLogSender(env.Log)
	if cfg.Notify.Channel == notification.ChannelSMTP {
		if sender, err = notification.NewSMTPSender(cfg.Notify.SMTP); err != nil {
			return nil, nil, err
		}
	} else {
		env.Log.Info("customers get no mail: NOTIFY_CHANNEL is log")
	}

	store, orderStore := notification.NewStore(orders), orderstore.New(orders)
	dispatcher := notification.NewDispatcher(notification.DispatcherOptions{
		Config:   cfg.Notify,
		Store:    store,
		Orders:   orderStore,
		Renderer: renderer,
		Sender:   sender,
		Log:      env.Log,
		Registry: env.Registry,
	})
	options.Service, options.Queue = "notifications", rabbitmq.OrdersNotifications
	options.Types, options.Handler = notification.Types(), notification.NewHandler(orderStore, store, env.Log).Handle
	options.Inbox = consumer.NewInbox(orders, notification.ConsumerName)
	return []service.Part{
		{Name: "notifications consumer", Run: consumer.New(options).Run},
		{Name: "notifications", Run: dispatcher.Run},
	}, store, nil
}
