package cache

// maxBacklog bounds the invalidations that the cache remembers while Redis is down: some megabytes.
const maxBacklog = 10_000

// backlog holds the invalidations that Redis has not taken.
type backlog struct {
	versions   map[backlogKey]int64
	everything bool // there were too many to remember: all stored values must be invalidated
}

type backlogKey struct {
	product  [16]byte
	location string
	deleted  bool
}

func newBacklog() backlog { return backlog{versions: map[backlogKey]int64{}} }

func (b *backlog) empty() bool { return !b.everything && len(b.versions) == 0 }

func (b *backlog) add(changes ...Change) {
	if b.everything {
		return
	}
	for _, ch := range changes {
		k := backlogKey{ch.Product, ch.Location, ch.Deleted}
		b.versions[k] = max(b.versions[k], ch.Version)
	}
	if len(b.versions) > maxBacklog {
		*b = backlog{versions: map[backlogKey]int64{}, everything: true}
	}
}

// merge puts back a backlog that was taken out and not delivered.
func (b *backlog) merge(other backlog) {
	if other.everything {
		*b = backlog{versions: map[backlogKey]int64{}, everything: true}
		return
	}
	b.add(other.changes()...)
}

func (b *backlog) changes() []Change {
	out := make([]Change, 0, len(b.versions))
	for k, v := range b.versions {
		out = append(out, Change{Product: k.product, Location: k.location, Version: v, Deleted: k.deleted})
	}
	return out
}
