package admission

// TrackedBuckets is how many buckets a Gate remembers.
const TrackedBuckets = trackedBuckets

// State is the number of buckets and of those with running requests.
func (g *Gate) State() (buckets, running int) { return g.buckets.Len(), len(g.running) }
