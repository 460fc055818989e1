--- A lock of many readers or one writer, who may die.
-- @module shmseg.rwlock

return (require "shmseg.object".module("rwlock"))
