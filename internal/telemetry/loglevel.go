package telemetry

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
)

// maxLevelBody bounds the body of a change of the level, in bytes.
const maxLevelBody = 256

type levelBody struct {
	Level *slog.Level `json:"level"`
}

// LevelHandler answers GET with the level of a process's log, and changes it with PUT {"level": "debug"}. It belongs on
// the private listener: it asks for no token.
func LevelHandler(level *slog.LevelVar) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
		case http.MethodPut:
			var body levelBody
			err := json.NewDecoder(io.LimitReader(r.Body, maxLevelBody)).Decode(&body)
			if err != nil || body.Level == nil {
				http.Error(w, `send {"level": "debug"}, or info, warn or error`, http.StatusBadRequest)
				return
			}
			level.Set(*body.Level)
		default:
			w.Header().Set("Allow", "GET, PUT")
			http.Error(w, "GET reads the level and PUT changes it", http.StatusMethodNotAllowed)
			return
		}
		now := level.Level()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(levelBody{&now}) // a client that has left needs no answer
	})
}

// FollowLevelSignals changes the level whenever more or less receives something, until ctx ends: more sets debug, and
// less sets the level that the process began with.
func FollowLevelSignals[S any](ctx context.Context, log *slog.Logger, level *slog.LevelVar, more, less <-chan S) {
	began := level.Level()
	for {
		select {
		case <-ctx.Done():
			return
		case <-more:
			level.Set(slog.LevelDebug)
		case <-less:
			level.Set(began)
		}
		log.WarnContext(ctx, "the log's level was changed", "to", level.Level())
	}
}
