package redisclient

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// poolCollector exports a pool's counters at scrape time.
type poolCollector struct{ client *redis.Client }

var (
	descMax = prometheus.NewDesc("redis_pool_max_connections",
		"Connections that the pool may open.", nil, nil)
	descOpen = prometheus.NewDesc("redis_pool_open_connections",
		"Connections open, in use or idle.", nil, nil)
	descIdle = prometheus.NewDesc("redis_pool_idle_connections",
		"Connections open and unused.", nil, nil)
	descWaits = prometheus.NewDesc("redis_pool_waits_total",
		"Calls that had to wait for a connection.", nil, nil)
	descWaited = prometheus.NewDesc("redis_pool_wait_seconds_total",
		"Time spent waiting for a connection.", nil, nil)
	descTimeouts = prometheus.NewDesc("redis_pool_timeouts_total",
		"Waits for a connection that ended without one.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c poolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descMax, descOpen, descIdle, descWaits, descWaited, descTimeouts} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.client.PoolStats()
	ch <- prometheus.MustNewConstMetric(descMax, prometheus.GaugeValue, float64(c.client.Options().PoolSize))
	ch <- prometheus.MustNewConstMetric(descOpen, prometheus.GaugeValue, float64(s.TotalConns))
	ch <- prometheus.MustNewConstMetric(descIdle, prometheus.GaugeValue, float64(s.IdleConns))
	ch <- prometheus.MustNewConstMetric(descWaits, prometheus.CounterValue, float64(s.WaitCount))
	ch <- prometheus.MustNewConstMetric(descWaited, prometheus.CounterValue, time.Duration(s.WaitDurationNs).Seconds())
	ch <- prometheus.MustNewConstMetric(descTimeouts, prometheus.CounterValue, float64(s.Timeouts))
}
