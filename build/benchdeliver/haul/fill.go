package haul

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"station-agent/build/goods"
	"station-agent/store"
)

const (
	perGroup    = 1000
	stationRows = 5000 // which change again and again
)

// fill takes in a backlog as capture does, shadow and all, which nobody fetches.
func fill(k Task) error {
	s, err := store.Open(store.Config{Dir: k.Dir, Now: stamp, Reserve: -1, Identity: identity})
	if err != nil {
		return err
	}
	keys, err := os.Create(k.Keys)
	if err != nil {
		return err
	}
	list, g := bufio.NewWriter(keys), goods.New(stationRows)
	for n := 0; n < k.N && err == nil; n += perGroup {
		group := g.Group(perGroup)
		group.Shadow = goods.Shadow(group.Records)
		for i := range group.Records {
			fmt.Fprintln(list, group.Records[i].Key)
		}
		err = s.DB.Put(group)
	}
	return errors.Join(err, list.Flush(), keys.Close(), s.Close())
}
