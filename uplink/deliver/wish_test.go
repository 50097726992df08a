package deliver

import (
	"testing"
	"time"
)

// Rest and Hurry are of one who sits far away: what is to rest isn't sent, and goes on by itself.
func TestDeliveryRestsForAWhile(t *testing.T) {
	run(t, Config{}, func(b *bench) {
		b.courier.Rest(time.Now().Add(time.Hour))
		b.after(0, "0/0/0/0")
		b.Put(items("a")...)
		b.after(59*time.Minute, "1/0/0/0")
		b.after(2*time.Minute, "0/0/1/0")
		b.courier.Rest(time.Now().Add(time.Hour))
		b.Put(items("b")...)
		b.after(time.Minute, "1/0/1/0")
		b.courier.Rest(time.Time{})
		b.after(time.Second, "0/0/2/0")
	})
}

func TestHurrySendsOutsideOfTheHoursAndWithoutCompany(t *testing.T) {
	run(t, Config{Linger: 20 * time.Second, Hours: Hours{{2 * time.Hour, 3 * time.Hour}}}, func(b *bench) { // fake time begins at midnight UTC
		time.Sleep(time.Until(Hours{{4 * time.Hour, 5 * time.Hour}}.opens(time.Now())))
		b.Put(items("a")...)
		b.after(10*time.Minute, "1/0/0/0")
		b.courier.Hurry(true)
		b.after(0, "0/0/1/0")
		b.Put(items("b")...)
		b.after(0, "0/0/2/0")
		b.courier.Hurry(false)
		b.Put(items("c")...)
		b.after(10*time.Minute, "1/0/2/0")
	})
}
