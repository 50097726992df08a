module github.com/pingcap/log

go 1.26

require go.uber.org/zap v1.28.0
