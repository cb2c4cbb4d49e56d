package temporalserver

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/primitives"
)

// The names of Temporal's two databases, which its documentation uses too.
const (
	mainDatabase       = "temporal"
	visibilityDatabase = "temporal_visibility"
)

// parseDatabase turns the URL of a PostgreSQL server into the form that Temporal wants.
func parseDatabase(address string) (config.SQL, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Hostname() == "" {
		return config.SQL{}, fmt.Errorf("the address of PostgreSQL is not of the form postgres://user@host:port/database")
	}
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	password, _ := u.User.Password()
	attributes := map[string]string{}
	for name, values := range u.Query() {
		attributes[name] = values[0]
	}
	return config.SQL{
		PluginName:        postgresql.PluginNamePGX,
		User:              u.User.Username(),
		Password:          password,
		ConnectAddr:       net.JoinHostPort(u.Hostname(), port),
		ConnectProtocol:   "tcp",
		ConnectAttributes: attributes,
		MaxConns:          20,
		MaxIdleConns:      20,
		MaxConnLifetime:   time.Hour,
	}, nil
}

// onDatabase is the same server with another database chosen.
func onDatabase(sql config.SQL, name string) config.SQL {
	sql.DatabaseName = name
	sql.ConnectAttributes = maps.Clone(sql.ConnectAttributes)
	return sql
}

func serverConfig(cfg Config, sql config.SQL, p ports) *config.Config {
	shards := cfg.HistoryShards
	if shards == 0 {
		shards = 4
	}
	mainStore, visibilityStore := onDatabase(sql, mainDatabase), onDatabase(sql, visibilityDatabase)
	visibilityStore.MaxConns, visibilityStore.MaxIdleConns = 10, 10
	service := func(grpc, http int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: grpc, HTTPPort: http, BindOnIP: "127.0.0.1"}}
	}
	return &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     mainDatabase,
			VisibilityStore:  visibilityDatabase,
			NumHistoryShards: shards,
			DataStores: map[string]config.DataStore{
				mainDatabase:       {SQL: &mainStore},
				visibilityDatabase: {SQL: &visibilityStore},
			},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        "active",
			CurrentClusterName:       "active",
			ClusterInformation: map[string]cluster.ClusterInformation{
				"active": {
					Enabled: true, InitialFailoverVersion: 1,
					RPCAddress: hostPort(p.frontend), HTTPAddress: hostPort(p.frontendHTTP),
				},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services: map[string]config.Service{
			string(primitives.FrontendService): service(p.frontend, p.frontendHTTP),
			string(primitives.HistoryService):  service(p.history, 0),
			string(primitives.MatchingService): service(p.matching, 0),
			string(primitives.WorkerService):   service(p.worker, 0),
		},
		Archival:     config.Archival{History: config.HistoryArchival{State: "disabled"}, Visibility: config.VisibilityArchival{State: "disabled"}},
		PublicClient: config.PublicClient{HostPort: hostPort(p.frontend)},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History: config.HistoryArchivalNamespaceDefaults{State: "disabled"}, Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
	}
}

// hosts names each service's only instance, so that the server needs no gossip to find itself.
func (p ports) hosts() map[primitives.ServiceName]static.Hosts {
	return map[primitives.ServiceName]static.Hosts{
		primitives.FrontendService: static.SingleLocalHost(hostPort(p.frontend)),
		primitives.HistoryService:  static.SingleLocalHost(hostPort(p.history)),
		primitives.MatchingService: static.SingleLocalHost(hostPort(p.matching)),
		primitives.WorkerService:   static.SingleLocalHost(hostPort(p.worker)),
	}
}

// settings are what differs from the server's defaults. Update-with-start, worker deployments and
// their drainage times are at their defaults on purpose: what works here works on a cluster.
func settings(overrides map[dynamicconfig.Key]any) dynamicconfig.StaticClient {
	s := dynamicconfig.StaticClient{
		// One instance has nothing to spread a task queue over; several partitions cost a fifth to a
		// quarter of the 95th percentile.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		// A new search attribute is usable at once instead of after the next refresh of a cache.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
		// A new namespace is known to all services in a fifth of a second instead of two.
		dynamicconfig.NamespaceCacheRefreshInterval.Key(): 200 * time.Millisecond,
	}
	maps.Copy(s, overrides)
	return s
}
