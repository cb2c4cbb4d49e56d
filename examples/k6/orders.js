// Orders under load, with k6 (https://k6.io; make test-load builds it): bin/tools/k6 run -e TOKEN="$(bin/holdfast token --sub load)" examples/k6/orders.js
// All requests are of one customer, whom the limits would stop: start `make up` with RATE_LIMIT_ORDERS=0 RATE_LIMIT_WRITES=0.
import http from 'k6/http'
import { check } from 'k6'
import { Rate } from 'k6/metrics'

const shop = __ENV.SHOP_URL || 'http://127.0.0.1:3000'
const product = __ENV.PRODUCT || '90806882-983d-5164-87bd-3b84bc6ad730'
const decided = new Rate('decided_at_once')

export const options = {
  scenarios: {
    orders: { executor: 'constant-arrival-rate', rate: Number(__ENV.RATE || 10), timeUnit: '1s', duration: __ENV.DURATION || '30s', preAllocatedVUs: 50 },
  },
  thresholds: {
    checks: ['rate>0.99'],
    http_req_duration: ['p(95)<500'],
  },
}

export default function () {
  const headers = { Authorization: `Bearer ${__ENV.TOKEN}`, 'Content-Type': 'application/json' }
  const body = JSON.stringify({ lines: [{ product_id: product, quantity: 1 }], payment_method: 'pm_ok', ttl_seconds: 60 })
  const answer = http.post(`${shop}/api/orders`, body, { headers })
  check(answer, { 'the order is accepted, or sold out': r => [201, 202, 409].includes(r.status) })
  decided.add(answer.status !== 202)
}
