package gateway

import (
	"holdfast/internal/breaker"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// rule is the rule of the services' breakers. If a breaker opened because no connection could be made, the gateway does
// not wait for the end of the pause: it probes the service by itself and closes the breaker when an instance answers.
// So a restart costs clients a second or two, and no client's request is the test.
func (c UpstreamConfig) rule() breaker.Rule {
	return breaker.Rule{Percent: c.BreakerPercent, Open: c.BreakerOpen}
}

// refused is the answer to a request that a breaker did not let through. Nothing was sent, so every request may be sent
// again.
func refused(open *breaker.OpenError) *problem.Problem {
	return problem.Common.New(problem.Unavailable,
		"the service fails at the moment and was not asked; send the same request again after %s seconds",
		httpx.Seconds(open.RetryAfter))
}
