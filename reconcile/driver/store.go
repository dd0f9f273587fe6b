package driver

// Store keeps what must survive the daemon. *store.Store of internal/store is one. Get of a key that is not there is
// errdefs.ErrNotFound; Delete of one is success.
type Store interface {
	Put(bucket, key string, value []byte) error
	Get(bucket, key string) ([]byte, error)
	Delete(bucket, key string) error
	Each(bucket string, fn func(key string, value []byte) error) error
}
