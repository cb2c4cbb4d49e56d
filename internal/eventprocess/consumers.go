package eventprocess

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/internal/consumer"
	"holdfast/internal/database"
	"holdfast/internal/deadletter"
	"holdfast/internal/httpx"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/internal/orderconsumer"
	"holdfast/internal/orderstore"
	"holdfast/internal/rabbitmq"
	"holdfast/internal/service"
	"holdfast/internal/servicetoken"
	"holdfast/internal/temporalclient"
	"holdfast/inventory/backstop"
	"holdfast/inventory/inventoryclient"
	"holdfast/workflows/orderclient"
)

// consumers are the parts of the process that read queues.
type consumers struct {
	parts    []service.Part
	checks   []httpx.Check
	dead     *deadletter.Store
	mover    *deadletter.Mover
	webhooks *merchantwebhook.Store
	told     *notification.Store
	close    func()
}

// newConsumers returns the consumer of each side, that of webhooks with their sender, the parts that tell customers,
// and the mover of dead messages. The caller calls close after they have ended.
func newConsumers(
	cfg Config,
	env service.Env,
	pools map[database.Name]*pgxpool.Pool,
	connector *rabbitmq.Connector,
	topology rabbitmq.Topology,
) (*consumers, error) {
	temporal, err := temporalclient.Lazy(cfg.Temporal, env.Log)
	if err != nil {
		return nil, err
	}
	inventory, err := inventoryclient.NewGuarded(
		cfg.InventoryAPI, servicetoken.NewSigner(cfg.Internal, "events"), nil, env)
	if err != nil {
		temporal.Close()
		return nil, err
	}

	orders := pools[database.Orders]
	workflows := orderclient.New(temporal, cfg.Temporal.DataConverter())
	ofOrders := orderconsumer.New(orderstore.New(orders), inventory, workflows, env.Log, env.Registry)
	ofInventory := backstop.New(inventory, env.Log, env.Registry)
	options := consumer.Options{
		Config:    cfg.Consumer,
		Connector: connector,
		Topology:  topology,
		Log:       env.Log,
		Registry:  env.Registry,
	}
	forOrders, forInventory, forWebhooks := options, options, options
	forOrders.Service, forOrders.Queue = "orders", rabbitmq.OrdersInventoryEvents
	forOrders.Types, forOrders.Handler = orderconsumer.Types(), ofOrders.Handle
	forOrders.Inbox = consumer.NewInbox(orders, orderconsumer.Name)
	forInventory.Service, forInventory.Queue = "inventory", rabbitmq.InventoryOrderEvents
	forInventory.Types, forInventory.Handler = backstop.Types(), ofInventory.Handle
	forInventory.Inbox = consumer.NewInbox(pools[database.Inventory], backstop.Name)

	webhooks := merchantwebhook.NewStore(orders)
	forWebhooks.Service, forWebhooks.Queue = "webhooks", rabbitmq.WebhooksEvents
	forWebhooks.Types, forWebhooks.Handler = merchantwebhook.Types(), merchantwebhook.NewHandler(webhooks).Handle
	forWebhooks.Inbox = consumer.NewInbox(orders, merchantwebhook.Name)
	sender := merchantwebhook.NewSender(merchantwebhook.SenderOptions{
		Config:   cfg.Webhooks,
		Store:    webhooks,
		Log:      env.Log,
		Registry: env.Registry,
	})

	tell, told, err := newNotifications(cfg, env, orders, options)
	if err != nil {
		temporal.Close()
		inventory.Close()
		return nil, err
	}
	dead := deadletter.NewStore(orders)
	mover := deadletter.NewMover(deadletter.MoverOptions{
		Store: dead,
		Queues: []string{
			rabbitmq.OrdersInventoryEvents,
			rabbitmq.InventoryOrderEvents,
			rabbitmq.WebhooksEvents,
			rabbitmq.OrdersNotifications,
		},
		Connector: connector,
		Topology:  topology,
		Log:       env.Log,
		Registry:  env.Registry,
	})
	return &consumers{
		parts: append(tell,
			service.Part{Name: "orders consumer", Run: consumer.New(forOrders).Run},
			service.Part{Name: "inventory consumer", Run: consumer.New(forInventory).Run},
			service.Part{Name: "webhooks consumer", Run: consumer.New(forWebhooks).Run},
			service.Part{Name: "webhooks sender", Run: sender.Run},
			service.Part{Name: "mover of dead messages", Run: mover.Run},
		),
		// The relays work without both; what the consumers cannot do comes again.
		checks: []httpx.Check{
			{Name: "temporal", Probe: temporalclient.ProbeServer(temporal)},
			{Name: "inventory", Probe: inventory.Ping},
		},
		dead:     dead,
		mover:    mover,
		webhooks: webhooks,
		told:     told,
		close: func() {
			inventory.Close()
			temporal.Close()
		},
	}, nil
}
