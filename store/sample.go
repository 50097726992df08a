package store

// Dictionaries of the compressor, so that what is small needn't carry its field names. Never change a byte of one: a better one
// gets another number, and this one stays for reading.

// sample is what a small commit looks like, in the order of its columns.
const sample = `{"at":{"boot":"00000000-0000-0000-0000-000000000000","mono":3600000000000,"wall":"2026-01-01T00:00:00.000000Z","trusted":true},` +
	`"position":{"flavor":"mariadb","server":"1","gtid":"0-1-1000","file":"binlog.000001","pos":1000,"at":"2026-01-01T00:00:00Z"}}` +
	`0x` + "\x02" + `2026-01-01T00:00:00.000Zpendinganchoredmismatchunclear` +
	`{"anchoredOnChain":true,"computedPayloadHash":"` + "\x02" + `","reasonCategory":"verified_anchored","snapshotHash":"` + "\x02" +
	`","verificationStatus":"pass","verified":true}` +
	`external.buylo_productsexternalbuylo_productsdeleteinsertupsertupdate` + "b:0-1-1000/1770000000000000/0" +
	`{"buylo_active_packing_station_uuid":"00000000-0000-0000-0000-000000000000","buylo_ean":"8590000000000","buylo_name":"` +
	`","buylo_product_id":"","created_at":"2026-01-01T00:00:00Z","external_package_id":"PKG-2026-000000","hash":"` + "\x01" +
	`","updated_at":"2026-01-01T00:00:00Z"}{"buylo_active_packing_station_uuid":"00000000-0000-0000-0000-000000000000",` +
	`"external_package_id":null,"hash":"` + "\x01" + `","updated_at":"2026-01-01T00:00:00Z"}`

// entrySample is what entries of the journal look like.
const entrySample = `{"seq":1000,"at":{"boot":"00000000-0000-0000-0000-000000000000","mono":3600000000000,"wall":"2026-01-01T00:00:00.000000000Z","trusted":true},` +
	`"outcome":{"intent":100,"result":"no such row","found":"PKG-2026-000000","text":"superseded conflict dismissed refused same"}}` +
	`"session":{"package":"PKG-2026-000000","items":[{"hash":"","was":null}],"before":{"package":"","items":[{"hash":"","was":null}]}}` +
	`"outcome":{"intent":100,"result":"settled"}}` +
	`"trusted":true},"scan":{"reader":"scanner","symbology":"","code":"","raw":"","verdict":"unknown","count":0,"text":"no item of this station has the code "}}` +
	`"verdict":"duplicate","text":" is in package \"\" already"}}"verdict":"conflict","text":" is in package \"\": close it first"}}` +
	`"code":"PKG-2026-000000","verdict":"accepted","step":"opened","package":"PKG-2026-000000","count":0,"text":"package \"PKG-2026-000000\" is open"}` +
	`"step":"closed","text":"package \"PKG-2026-000000\" was closed with 2 items"}"step":"undone","package":"` +
	`"trusted":true},"scan":{"reader":"scanner","code":"00000000000000000000000000000000","raw":"","verdict":"accepted offline","step":"added","package":"PKG-2026-000000","hash":"` +
	`"verdict":"accepted","step":"added","package":"PKG-2026-000000","hash":"","count":1,"text":"\"\" is in package \"PKG-2026-000000\", which holds 2 items"},` +
	`"intents":[{"id":100,"hash":"","package":"PKG-2026-000000","replaces":[null],"scan":1000}],"added":{"package":"PKG-2026-000000","hash":"","was":null}}`
